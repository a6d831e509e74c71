"""Generation by any server with OpenAI's HTTP interface: vLLM, SGLang, llama.cpp, Ollama and others."""

import asyncio
import contextlib
import json
import math
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import httpx

from htpo.errors import UserError
from htpo.evaluate.generators.backend import Backend, BackendOptions, check_least, json_object
from htpo.evaluate.generators.background import Asked, Done, each_in_background
from htpo.evaluate.generators.served_episode import ContextFull, ServedEpisode, TurnRequest
from htpo.evaluate.generators.server_replies import Nonsense, context_is_full, in_words, read_reply, retry_after
from htpo.evaluate.generators.vocabulary import (
    EpisodeRequest,
    EpisodeSettings,
    Generator,
    Key,
    Played,
    Request,
    Response,
    SamplingOptions,
    derived_seed,
)
from htpo.playing.formats import PromptFormat
from htpo.tasks.prompts import Prompt, as_chat

TEMPORARY = {408, 409, 425, 429}  # and everything from 500 on: worth another try
LONGEST_WAIT = 60.0  # seconds between two tries, if the server does not ask for more
PROBE_SECONDS = 10.0


@dataclass
class ServerOptions(BackendOptions):
    """Where the server is, and how it is asked."""

    MAY_CHANGE = frozenset({"base_url", "concurrency", "retries", "request_timeout", "api_key_env"})

    base_url: str | None = field(
        default=None, metadata={"help": "Server with OpenAI's interface, as in http://localhost:8000/v1."}
    )
    concurrency: int = field(default=16, metadata={"help": "Requests to the server at a time."})
    retries: int = field(default=8, metadata={"help": "Further tries of a request, after growing waits."})
    request_timeout: float = field(default=3600.0, metadata={"help": "Seconds for one try."})
    api_key_env: str | None = field(
        default=None, metadata={"help": "Environment variable with the server's API key, which is never stored."}
    )
    extra_body: str | None = field(
        default=None, metadata={"help": "JSON object with further fields of every request, as in '{\"top_k\": -1}'."}
    )

    def __post_init__(self) -> None:
        check_least(self, {"concurrency": 1, "retries": 0})
        if not 0 < self.request_timeout < math.inf:
            raise UserError(f"request_timeout={self.request_timeout} must be a number of seconds above 0")


class ServerBackend(Backend):
    """Generation by a server.

    Raises:
        UserError: its address is missing.
    """

    options = (ServerOptions,)
    implied_by = "base_url"

    def __init__(self, model: str, sampling: SamplingOptions, chat: bool | None, server: ServerOptions):
        if not server.base_url:
            raise UserError("--backend server needs its address: --base_url http://localhost:8000/v1")
        self.model, self.sampling, self.base_url, self.server = model, sampling, server.base_url, server
        self.conversational = chat is not False

    def check(self, prompts: Sequence[Prompt]) -> None:
        """What it takes, the server says by itself."""

    def check_episodes(self, told: PromptFormat) -> None:
        if told.chat != self.conversational:
            raise UserError("--prompt_format compact is text, which goes to /completions: add --chat false")

    def start(self) -> Generator:
        server = self.server
        key = os.environ.get(server.api_key_env) if server.api_key_env else None
        if server.api_key_env and not key:
            raise UserError(f"--api_key_env {server.api_key_env}: this environment variable is not set")
        generator = ServerGenerator(
            self.model,
            self.base_url,
            self.sampling,
            chat=self.conversational,
            concurrency=server.concurrency,
            retries=server.retries,
            request_timeout=server.request_timeout,
            api_key=key,
            extra_body=json_object("extra_body", server.extra_body),
        )
        generator.check()
        return generator


class ServerGenerator(Generator):
    """One request per response, several at a time; what fails is tried again after growing waits.

    A request is tried again after a dropped connection, a time-out, a status that may pass (429, 5xx; `Retry-After` is
    honoured) and a reply that is not a whole answer. When all tries failed it is left out and counted. After as many of
    those in a row as there are requests at a time, or a status that will not pass (400, 401, 404, ...), nothing more is
    sent, what is on its way is waited for, and `generate` raises when it has handed on everything that was answered.

    Args:
        model: its name on the server.
        base_url: up to and with the version, as in http://localhost:8000/v1.
        sampling: sent with every request, with a seed of its own, which not every server honours.
        chat: whether prompts are sent as messages to `/chat/completions` or as text to `/completions`.
        concurrency: requests at a time.
        retries: further tries of one request.
        request_timeout: seconds for one try.
        first_wait: seconds before the first further try; doubled for each after it, and scattered.
        api_key: sent as bearer token; kept out of every message.
        extra_body: further fields of every request.

    Attributes:
        failed: requests that got no answer.
        tried_again: tries that failed, by reason.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        sampling: SamplingOptions,
        *,
        chat: bool = True,
        concurrency: int = 16,
        retries: int = 8,
        request_timeout: float = 3600.0,
        first_wait: float = 1.0,
        api_key: str | None = None,
        extra_body: dict[str, Any] | None = None,
    ):
        self.base_url = checked_url(base_url)
        self.sampling, self.chat = sampling, chat
        self.concurrency, self.retries, self.first_wait = concurrency, retries, first_wait
        self.request_timeout = request_timeout
        self.failed = 0
        self.tried_again: Counter[str] = Counter()
        self._api_key = api_key
        self._fixed = {
            "model": model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **(extra_body or {}),
        }
        self._failed_in_a_row = 0
        self._stop: UserError | None = None

    def check(self) -> None:
        """Ask the server for its models, so that a wrong address or key is found at once.

        Raises:
            UserError: it cannot be reached or refuses the key.
        """
        try:
            reply = httpx.get(f"{self.base_url}/models", headers=self._headers(), timeout=PROBE_SECONDS)
        except httpx.HTTPError as error:
            raise UserError(
                f"no server answers at {self.base_url} ({in_words(error)}): start it, or correct --base_url"
            ) from None
        if reply.status_code in (401, 403):
            raise UserError(f"{self.base_url} {self._refusal(reply)}: check the variable named by --api_key_env")

    def generate(self, task: str, requests: Sequence[Request], done: Set[Key]) -> Iterator[list[Response]]:
        """What came within two seconds, together; nothing of it is lost by Ctrl-C.

        Raises:
            UserError: the server refuses, or is down.
        """

        async def answer(client: httpx.AsyncClient, request: Request) -> Response | None:
            return await self._answer(client, task, request)

        yield from self._each([request for request in requests if request.key not in done], answer)

    def play(
        self, task: str, settings: EpisodeSettings, requests: Sequence[EpisodeRequest], done: Set[Key]
    ) -> Iterator[list[Played]]:
        """As many episodes at a time as requests; see `generate`."""

        async def play(client: httpx.AsyncClient, request: EpisodeRequest) -> Played | None:
            async def ask(turn: TurnRequest) -> Response | None:
                return await self._answer(client, task, turn)

            return await ServedEpisode(settings, request, self.sampling.max_tokens, self.chat, ask).play()

        yield from self._each([request for request in requests if request.key not in done], play)

    def _each(
        self, wanted: Sequence[Asked], do: Callable[[httpx.AsyncClient, Asked], Awaitable[Done | None]]
    ) -> Iterator[list[Done]]:
        """Do it for each, several at a time; what nothing comes of is left out."""

        async def do_all(wanted: Sequence[Asked], put: Callable[[Done], None]) -> None:
            waiting = iter(wanted)
            self._stopped = asyncio.Event()  # belongs to this event loop
            limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
            async with httpx.AsyncClient(headers=self._headers(), timeout=None, limits=limits) as client:

                async def do_in_turn() -> None:
                    for each in waiting:
                        done = await do(client, each)
                        if done is not None:
                            put(done)
                        if self._stop is not None:
                            return

                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(wanted))):
                        group.create_task(do_in_turn())

        yield from each_in_background(wanted, do_all)
        if self._stop is not None:
            raise self._stop

    def notes(self) -> dict[str, Any]:
        return {"requests": {"without_answer": self.failed, "tried_again": dict(self.tried_again)}}

    def remarks(self) -> list[str]:
        reasons = ", ".join(f"{count} for {reason}" for reason, count in self.tried_again.items())
        return [f"Tries that failed: {reasons}"] if reasons else []

    # --- in the background thread ----------------------------------------------------------------------------------

    async def _answer(self, client: httpx.AsyncClient, task: str, request: Request) -> Response | None:
        """The response; None when there is none after all tries, or the server is not to be asked any more.

        Raises:
            ContextFull: an episode has grown longer than the server takes.
        """
        body, reason = self._body(task, request), ""
        for attempt in range(self.retries + 1):
            if self._stop is not None:
                return None
            asked_wait = 0.0
            try:
                path = "chat/completions" if self.chat else "completions"
                sending = client.post(f"{self.base_url}/{path}", json=body)
                reply = await asyncio.wait_for(sending, self.request_timeout)
                if reply.status_code == 200:
                    response = read_reply(reply, request, self._sent(request), chat=self.chat)
                    self._failed_in_a_row = 0
                    return response
                if isinstance(request, TurnRequest) and request.turn and context_is_full(reply):
                    raise ContextFull
                if reply.status_code not in TEMPORARY and reply.status_code < 500:
                    self._give_up(f"{self._refusal(reply)} (problem {request.problem} of {task})")
                    return None
                reason, asked_wait = f"status {reply.status_code}", retry_after(reply)
            except (httpx.HTTPError, TimeoutError, Nonsense) as error:
                reason = in_words(error)
            self.tried_again[reason] += 1
            if attempt < self.retries:
                wait = min(self.first_wait * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.0)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), max(wait, asked_wait))
        self.failed += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self.concurrency:
            self._give_up(
                f"did not answer {self._failed_in_a_row} requests in a row, each tried {self.retries + 1} times (the "
                f"last: {reason})"
            )
        return None

    def _give_up(self, why: str) -> None:
        """Send nothing more."""
        self._stop = self._stop or UserError(f"{self.base_url} {why}")
        self._stopped.set()

    def _body(self, task: str, request: Request) -> dict[str, Any]:
        put = {"messages" if self.chat else "prompt": self._put(request)}
        seed, longest = [self.sampling.seed, task, *request.key], self.sampling.max_tokens
        if isinstance(request, TurnRequest):
            seed, longest = [*seed, request.turn], request.max_tokens
        return {**put, "seed": derived_seed(*seed), "max_tokens": longest, **self._fixed}

    def _put(self, request: Request) -> Prompt:
        """The prompt as it is sent: puzzles are text for every model."""
        return as_chat(request.prompt) if self.chat and isinstance(request.prompt, str) else request.prompt

    def _sent(self, request: Request) -> str:
        put = self._put(request)
        return put if isinstance(put, str) else json.dumps(put, ensure_ascii=False)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    def _refusal(self, reply: httpx.Response) -> str:
        said = " ".join(reply.text.split())
        if self._api_key:
            said = said.replace(self._api_key, "***")
        shown = "".join(character for character in said[:300] if character.isprintable())
        return f"refuses with status {reply.status_code}: {shown or 'without a word'}"


def checked_url(base_url: str) -> str:
    """The address without a slash at its end.

    Raises:
        UserError: it is no HTTP address, or carries credentials or a query, which would be stored.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise UserError(f"base_url {base_url!r} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"base_url {base_url!r} must start with http:// or https:// and name a host")
    if url.userinfo or url.query or url.fragment:
        raise UserError("base_url must hold no user, password, query or fragment: give the key with --api_key_env")
    return str(url).rstrip("/")
