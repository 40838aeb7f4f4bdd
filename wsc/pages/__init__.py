"""The report of a run: its data, and the formats in which it is written."""

from wsc.pages.data import MOST_ACROSS, estimate_data, report_data
from wsc.pages.formats import FORMATS, format_of
from wsc.pages.page import page

__all__ = ["FORMATS", "MOST_ACROSS", "estimate_data", "format_of", "page", "report_data"]
