"""What a comparison found, as a page that opens offline."""

from widedeep_kb.report.page import write_report

__all__ = ["write_report"]
