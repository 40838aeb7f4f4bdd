"""The report of a run as one page of HTML: its data, and the page around them."""

from wsc.pages.data import MOST_ACROSS, estimate_data, report_data
from wsc.pages.page import page

__all__ = ["MOST_ACROSS", "estimate_data", "page", "report_data"]
