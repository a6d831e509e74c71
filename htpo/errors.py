"""The errors a user is meant to read."""

import signal


class UserError(ValueError):
    """Something the user gave cannot be used: one line that names the thing and the remedy (exit code 2)."""


class Interrupted(Exception):
    """A signal ended the work, in order; one line says how to go on."""

    def __init__(self, number: int, how_to_go_on: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {how_to_go_on}")
        self.code = 128 + number  # as shells have it
