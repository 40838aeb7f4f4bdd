"""Rows of tables as records: the same memory, each column by its name."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.runtime.clocked import records as clocked
from wsc.runtime.reference import records as reference
from wsc.runtime.routes import FIFO, SLOT, Fcol, Scol
from wsc.runtime.schedule import QUEUE, RECORD, SHAPE, Hcol, Qcol, Rcol
from wsc.runtime.tables import OPERAND, ROW, Col, Ocol, as_columns, as_records
from wsc.runtime.time import records as time

RECORDS = (
    (Scol, SLOT, np.int32),
    (Fcol, FIFO, np.int64),
    (Qcol, QUEUE, np.int64),
    (Rcol, RECORD, np.int64),
    (Hcol, SHAPE, np.int64),
    (Col, ROW, np.int32),
    (Ocol, OPERAND, np.int32),
)


@pytest.mark.parametrize(("columns", "record", "of"), RECORDS)
def test_a_field_is_its_column(columns: type, record: np.dtype[np.void], of: type) -> None:
    width = record.itemsize // np.dtype(of).itemsize
    table = np.arange(3 * width, dtype=of).reshape(3, width)
    rows = as_records(table, record)
    for name, column in columns.__members__.items():
        field = rows[name.lower()].reshape(3, -1)
        assert np.array_equal(field, table[:, column : column + field.shape[1]])
    assert np.shares_memory(as_columns(rows, of), table)
    assert np.array_equal(as_columns(rows, of), table)


def test_no_engine_gives_the_name_of_a_shared_table_to_another_one() -> None:
    for engine in (reference, time):
        for name, form in clocked.TABLES.items():
            assert engine.TABLES[name] == form, name
