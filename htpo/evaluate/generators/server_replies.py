"""What a server with OpenAI's interface replies, of which nothing is taken for granted."""

import email.utils
import time
from typing import Any

import httpx

from htpo.evaluate.generators.vocabulary import Request, Response

FINISHED = {"stop": True, "eos": True, "length": False, "content_filter": False}
"""By the server's `finish_reason`: whether the model ended its response. Others mean that the server failed."""
LONGEST_ASKED_WAIT = 600.0  # seconds, of what a server may ask for
LONGEST_COUNT = 2**31 - 1


class Nonsense(Exception):
    """A reply with status 200 that is not an answer."""


def read_reply(reply: httpx.Response, request: Request, sent: str, *, chat: bool) -> Response:
    """The response in a reply with status 200.

    Args:
        sent: the prompt as it was sent.
        chat: whether it was sent to `/chat/completions`.

    Raises:
        Nonsense: there is none.
    """
    try:
        content = reply.json()
        choice = content["choices"][0]
        text = choice["message"]["content"] if chat else choice["text"]
        finished = FINISHED[choice["finish_reason"]]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise Nonsense("a reply that is no answer") from error
    if text is None and chat:
        text = ""  # a server that keeps the chain of thought apart, when it took all tokens
    if not isinstance(text, str):
        raise Nonsense("a reply without text")
    usage = content.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    known = type(tokens) is int and 0 <= tokens <= LONGEST_COUNT
    reasoning = _reasoning(choice["message"]) if chat else None
    return Response(request, sent, text, tokens if known else None, finished, reasoning)


def _reasoning(message: dict[str, Any]) -> str | None:
    """What a reply keeps apart from its content, under either of the two names in use; None when there is none."""
    found = (message.get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def retry_after(reply: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 when it asks for nothing that can be read."""
    asked = reply.headers.get("Retry-After", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(seconds, LONGEST_ASKED_WAIT) if seconds > 0 else 0.0


def in_words(error: Exception) -> str:
    """Why there is no answer."""
    if isinstance(error, Nonsense):
        return str(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "time-out"
    return "no connection" if isinstance(error, httpx.ConnectError) else "a dropped connection"
