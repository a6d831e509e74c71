"""An error that nobody foresaw: one line for the user, and the traceback in a file."""

import os
import tempfile
import traceback

SHOW = "HTPO_TRACEBACK"  # environment variable: set, the traceback goes to the terminal instead


def explain(error: Exception) -> str:
    """What happened in one line, and where the traceback was written."""
    text = "".join(traceback.format_exception(error))
    if os.environ.get(SHOW):
        return f"unexpected error\n{text}"
    handle, path = tempfile.mkstemp(prefix="htpo-", suffix=".traceback.txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {what} (its traceback is in {path}, and printed with {SHOW}=1; if it is htpo's, report it)"
