"""One self-contained HTML page of a run, of several runs, or of a study."""

from htpo.report.page import NAME, default_path, write_report

__all__ = ["NAME", "default_path", "write_report"]
