"""The report of a run as one page of HTML: its data, and the page around them."""

from wsc.pages.data import MOST_ACROSS, report_data
from wsc.pages.page import page

__all__ = ["MOST_ACROSS", "page", "report_data"]
