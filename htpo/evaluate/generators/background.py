"""Things that wait for others, done several at a time in an event loop of a thread; what comes of them is handed on."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

TOGETHER_SECONDS = 2.0  # what comes within this time is handed on together
TOGETHER = 256
Asked = TypeVar("Asked")
Done = TypeVar("Done")


def each_in_background(
    wanted: Sequence[Asked], do_all: Callable[[Sequence[Asked], Callable[[Done], None]], Awaitable[None]]
) -> Iterator[list[Done]]:
    """What came within two seconds, together; nothing of it is lost by Ctrl-C.

    Args:
        do_all: does all of it, and puts what comes of each where it is told; cancelled by Ctrl-C, and when nobody wants
            more.

    Raises:
        KeyboardInterrupt: when everything that had come was handed on.
    """
    inbox: queue.SimpleQueue[Done | None] = queue.SimpleQueue()  # None at the end
    loop = asyncio.new_event_loop()

    async def work_on() -> None:
        await do_all(wanted, inbox.put)

    work = loop.create_task(work_on())
    thread = threading.Thread(target=_run_to_its_end, args=(loop, work, inbox), daemon=True)
    thread.start()
    interrupted = ended = False
    came: list[Done] = []
    try:
        while not ended:
            try:
                ended = _take_together(inbox, came)
            except KeyboardInterrupt:
                loop.call_soon_threadsafe(work.cancel)
                interrupted = True
                continue
            if came:
                yield came
                came = []
    finally:
        loop.call_soon_threadsafe(work.cancel)
        thread.join()
        loop.close()
    if interrupted:
        raise KeyboardInterrupt
    error = None if work.cancelled() else work.exception()
    if error is not None:
        raise error


def _run_to_its_end(
    loop: asyncio.AbstractEventLoop, work: asyncio.Task[None], inbox: "queue.SimpleQueue[Done | None]"
) -> None:
    try:
        loop.run_until_complete(asyncio.wait([work]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        inbox.put(None)


def _take_together(inbox: "queue.SimpleQueue[Done | None]", came: list[Done]) -> bool:
    """Add to `came` what comes within two seconds of the first; whether nothing comes after it."""
    until = None
    while len(came) < TOGETHER:
        try:
            item = inbox.get(timeout=None if until is None else max(until - time.monotonic(), 0.0))
        except queue.Empty:
            return False
        if item is None:
            return True
        came.append(item)
        until = until or time.monotonic() + TOGETHER_SECONDS
    return False
