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
    reasoning = _reasoning(choice["message"]) if chat else None
    tokens, before = (_count(content.get("usage"), name) for name in ("completion_tokens", "prompt_tokens"))
    return Response(request, sent, text, tokens, finished, reasoning, before)


def _count(usage: Any, name: str) -> int | None:
    """A number of tokens that a reply says."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count <= LONGEST_COUNT else None


def _reasoning(message: dict[str, Any]) -> str | None:
    """What a reply keeps apart from its content, under either of the two names in use; None when there is none."""
    found = (message.get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def context_is_full(reply: httpx.Response) -> bool:
    """Whether a server refuses a request as too long: no status says so, but all servers speak of the context then."""
    return reply.status_code in (400, 413, 422) and "context" in reply.text.lower()


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
