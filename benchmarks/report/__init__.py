"""What a person reads of a run: the page, the lines on the terminal."""

from benchmarks.report.page import page
from benchmarks.report.table import line, summary

__all__ = ["line", "page", "summary"]
