"""A verifier of the user's own: a Python function, given by import path."""

import importlib
import json
import logging
import math
import numbers
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htpo.errors import UserError
from htpo.verifiers.verdict import UNSCORED, Verdict

SETTLED_AFTER = 64  # responses, before the share of failures is looked at
FULL_SCORE = 1.0

logger = logging.getLogger(__name__)


def find_function(path: str) -> Callable[[str, dict[str, Any]], bool | float | Verdict]:
    """The function at `package.module:function`; the current folder is looked in, too.

    Raises:
        UserError: there is none, or importing it fails.
    """
    module_name, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise UserError(f"verifier {path!r} cannot be imported: {error}") from error
    if not callable(function):
        raise UserError(f"verifier {path!r} is {type(function).__name__}, not a function (response, row)")
    return function


class FunctionVerifier:
    """Judges with `function(response, row)`, in this process; `row` is the dataset's row as it was read.

    The function returns a `bool`, a number, which is the reward (correct from 1 on), or a `Verdict`. Where it raises,
    or returns None or NaN, there is no verdict ("unscored"), the first traceback is logged, and the run goes on.

    Args:
        path: `package.module:function`.
        max_failures: share of all responses so far on which the function may give no verdict; above it (once there are
            64) `judge` raises.

    Attributes:
        failures: responses since construction that were not judged, by kind.
    """

    graded = True  # rewards may lie between 0 and 1

    def __init__(self, path: str, max_failures: float = 0.5):
        if not 0 <= max_failures <= 1:
            raise UserError(f"max_verifier_failures is {max_failures}, needs a share from 0 to 1")
        self.path, self.max_failures = path, max_failures
        self.function = find_function(path)
        self.failures: Counter[str] = Counter()
        self._judged, self._logged = 0, False

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; the row is read from the rows' column `fields` (JSON).

        Raises:
            UserError: the function has failed on more than the allowed share.
        """
        pairs = zip(responses, rows, strict=True)
        verdicts = [self._judge_one(response, json.loads(row["fields"])) for response, row in pairs]
        self.failures.update(verdict.failure for verdict in verdicts if verdict.failure)
        self._judged += len(verdicts)
        share = self.failures[UNSCORED] / max(self._judged, 1)
        if self._judged >= SETTLED_AFTER and share > self.max_failures:
            raise UserError(
                f"verifier {self.path} gave no verdict on {share:.0%} of {self._judged} responses, more than "
                f"max_verifier_failures ({self.max_failures:.0%}); what it raised first, if anything, is in the log"
            )
        return verdicts

    def _judge_one(self, response: str, row: dict[str, Any]) -> Verdict:
        try:
            return as_verdict(self.function(response, row))
        except Exception:
            if not self._logged:
                logger.warning("verifier %s failed (logged once):\n%s", self.path, traceback.format_exc())
                self._logged = True
            return Verdict(False, failure=UNSCORED)

    def try_on(self, tries: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Raise UserError when the function gives no verdict on any of these responses to rows, saying why."""
        reasons = []
        for response, row in tries:
            try:
                if as_verdict(self.function(response, row)).failure != UNSCORED:
                    return
                reasons.append("it returned no verdict (None or NaN)")
            except Exception as error:
                reasons.append(_users_frames(error))
        if reasons:
            raise UserError(
                f"verifier {self.path} gave no verdict on any of {len(reasons)} responses it was tried on. It is "
                "called as function(response, row) with the response's text and the row as a dictionary. The first: "
                f"{reasons[0]}"
            )

    def close(self) -> None:
        """Nothing to release."""


def as_verdict(result: Any) -> Verdict:
    """What a function returned, as a verdict.

    Raises:
        TypeError: it is none of `bool`, a number, `Verdict`, None.
        ValueError: it is infinite.
    """
    if isinstance(result, Verdict):
        return result
    if result is None or (isinstance(result, numbers.Real) and math.isnan(result)):
        return Verdict(False, failure=UNSCORED)
    if isinstance(result, bool | np.bool_):
        return Verdict(bool(result))
    if not isinstance(result, numbers.Real):
        raise TypeError(f"a verifier must return a bool, a number or a Verdict, not {type(result).__name__}")
    if not math.isfinite(result):
        raise ValueError(f"a verifier returned {result}; a reward must be finite")
    return Verdict(bool(result >= FULL_SCORE), score=float(result))


def _users_frames(error: Exception) -> str:
    """The error and where in the user's code it came from, in a few lines."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is the call in this module
    called = "".join(traceback.format_list(frames[-3:])).rstrip()
    message = "".join(traceback.format_exception_only(error)).strip()
    return f"{message}\n{called}" if called else message
