"""What the rows of an instruction have in common, found once for the compiled loops."""

from __future__ import annotations

import numpy as np

from wsc.runtime.image import Image
from wsc.runtime.tables import FABRIC, Kind, Records
from wsc.runtime.time.records import PROFILE


def profiles(image: Image) -> np.ndarray:
    """A ``PROFILE`` for each row of the code; only those of vector instructions and sends count."""
    rows, operands = image.code.records, image.code.operand_records
    table = np.zeros(max(len(rows), 1), PROFILE)
    table["first_input"] = table["second_input"] = -1
    table["indexed"][: len(rows)] = rows.kind == Kind.SEND
    queued = (rows.kind == Kind.VECTOR) & (rows.level >= 0)
    for number in np.flatnonzero(queued).tolist():
        row = rows[number]
        _describe(table[number], row, operands[row.operands : row.operands + row.count])
    return table


def _describe(profile: np.void, row: np.record, operands: Records) -> None:
    queues = np.flatnonzero(operands.kind == FABRIC).tolist()
    inputs = [number for number in queues if number > 0]
    each_row = bool((operands.advance[queues] == row.level).all())
    profile["simple"] = each_row and row.rank <= row.level + 1 and len(inputs) <= 2
    profile["indexed"] = not each_row
    profile["emits"] = 0 in queues
    if inputs:
        profile["first_input"] = inputs[0]
    if len(inputs) > 1:
        profile["second_input"] = inputs[1]
