"""The one error a user is meant to read."""


class UserError(ValueError):
    """Something the user gave cannot be used: one line that names the thing and the remedy (exit code 2)."""
