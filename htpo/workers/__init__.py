"""Worker processes that may be killed at any moment, and what their programs have in common."""
