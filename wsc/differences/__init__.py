"""What differs between two programs, two dumps of the IR, or two runs."""

from wsc.differences.compare import Change, Difference, compare
from wsc.differences.read import read
from wsc.differences.tables import Side, Table

__all__ = ["Change", "Difference", "Side", "Table", "compare", "read"]
