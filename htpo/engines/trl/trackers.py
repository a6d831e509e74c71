"""Trackers (`report_to`) that fail in the middle of a run, which goes on: its own records have all they would show."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from htpo.errors import UserError

logger = logging.getLogger(__name__)

EVENTS = [name for name in dir(TrainerCallback) if name.startswith("on_")]
AT_THE_START = ("on_init_end", "on_train_begin")


def outlive_trackers(callbacks: list[TrainerCallback]) -> None:
    """Have each tracker among the callbacks of a trainer be left out from its first failure on, which is said.

    One that fails before the first update raises `UserError` then.
    """
    for name, kind in INTEGRATION_TO_CALLBACK.items():
        for callback in callbacks:
            if type(callback) is kind:
                _guard(name, callback)


def _guard(name: str, tracker: TrainerCallback) -> None:
    gone = False

    def guarded(event: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def happened(*arguments: Any, **named: Any) -> Any:
            nonlocal gone
            if gone:
                return None
            try:
                return call(*arguments, **named)
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                if event in AT_THE_START:
                    raise UserError(f"report_to {name} cannot begin ({said}): see to that, or leave it out") from error
                gone = True
                logger.warning("report_to %s failed and is left out from here on (%s)", name, said)
                return None

        return happened

    for event in EVENTS:
        setattr(tracker, event, guarded(event, getattr(tracker, event)))
