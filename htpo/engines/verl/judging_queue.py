"""Judging responses that come in one by one: what has come in while the last ones were judged is judged together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from htpo.verifiers.verdict import Verdict

Judge = Callable[[Sequence[str], Sequence[dict[str, Any]]], list[Verdict]]
Waiting = tuple[str, dict[str, Any], "asyncio.Future[Verdict]"]


class JudgingQueue:
    """Has a verifier judge in a thread of its own, one batch after another; the event loop goes on meanwhile.

    Args:
        judge: a verifier's; it is called by one thread at a time.
    """

    def __init__(self, judge: Judge):
        self.judge = judge
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "judging")

    async def __call__(self, response: str, row: dict[str, Any]) -> Verdict:
        """The verdict on a response; raises what the verifier raises on the batch it was in."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((response, row, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._judge_waiting())
        return await future

    async def _judge_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            responses, rows, futures = zip(*batch, strict=True)
            try:
                loop = asyncio.get_running_loop()
                verdicts = await loop.run_in_executor(self._thread, self.judge, responses, rows)
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future, verdict in zip(futures, verdicts, strict=True):
                if not future.done():
                    future.set_result(verdict)
