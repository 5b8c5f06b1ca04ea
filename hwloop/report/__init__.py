"""Reports: pictures and one self-contained HTML page, made from the folder of a run alone."""

from hwloop.report.page import write_report

__all__ = ["write_report"]
