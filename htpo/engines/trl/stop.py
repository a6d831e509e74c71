"""An end in order on Ctrl-C and SIGTERM: the updates of the batch under way, a checkpoint, then no more."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAID = b"\nStopping after the updates of this batch; once more stops at once.\n"


class StopOnSignal(TrainerCallback):
    """Ends training after a signal, where a resumed run goes on as the uninterrupted one: after a batch's last update.

    Args:
        updates_per_batch: of a generation batch.
        saves: whether a checkpoint is written then.
    """

    def __init__(self, updates_per_batch: int, saves: bool):
        self.updates_per_batch, self.saves = updates_per_batch, saves
        self.received: int | None = None  # the signal's number
        self._before: dict[int, Any] = {}  # handlers by signal

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, the first signal is noted, and the next one acts as it did outside."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.received = number
        self._restore()
        os.write(2, SAID)  # print may be under way

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.updates_per_batch:
            return
        if PartialState().num_processes > 1:  # which a signal reaches at different updates
            self.received = max(gather_object([self.received or 0])) or None
        if self.received is not None:
            control.should_save = control.should_save or self.saves
            control.should_training_stop = True
