"""An episode played by a policy on a server, which has the tokens to itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from htpo.evaluate.generators.vocabulary import EpisodeRequest, EpisodeSettings, Played, Request, Response
from htpo.playing.player import EpisodeRow, Player, Turn, next_round
from htpo.playing.turn_texts import TurnTexts
from htpo.tasks.prompts import Prompt


class ContextFull(Exception):
    """What was asked is longer than the server takes."""


@dataclass(frozen=True)
class TurnRequest(Request):
    """A turn of an episode that is wanted; its prompt is all that was said before."""

    turn: int  # from 0
    max_tokens: int


class ServedEpisode:
    """An episode, turn by turn: messages of user and assistant, or one text.

    Its length is known as far as the server says it (`usage`): before a turn, the tokens of what was said up to the
    last one. Where that, or the server, leaves no room for a turn, the oldest leave.

    Args:
        max_tokens: of the turns that are shown and the one to come, as `Player` has it.
        chat: whether turns are messages.
        ask: has the server write a turn; None when it did not. May raise `ContextFull`.
    """

    def __init__(
        self,
        settings: EpisodeSettings,
        request: EpisodeRequest,
        max_tokens: int,
        chat: bool,
        ask: Callable[[TurnRequest], Awaitable[Response | None]],
    ):
        self.settings, self.request, self.max_tokens, self.chat, self.ask = settings, request, max_tokens, chat, ask
        self._turns = TurnTexts(settings.told)
        self._player = Player(
            settings.worlds,
            self._turns,
            settings.max_turn_tokens,
            max_tokens=None,
            oldest_leave=True,
            history_length=settings.history_length,
        )
        self._said: list[Response] = []

    async def play(self) -> Played | None:
        """The episode; None where the server does not answer, and so it cannot be ended."""
        rows = await asyncio.to_thread(self._player.begin, [self.request.task], [self.settings.seed])
        rounds = self._player.rounds(rows)
        living = next(rounds, None)
        while living is not None:
            (row,) = living
            try:
                turn = await self._turn(row)
            except ContextFull:
                if row.forget():
                    continue
                turn = None
            else:
                if turn is None:
                    self.settings.worlds.end([row.episode])
                    return None
            living = await asyncio.to_thread(next_round, rounds, [turn])
        apart = [said.reasoning for said in self._said if said.reasoning is not None]
        tokens = [said.tokens for said in self._said]
        cut_off = [not said.finished for said in self._said]
        return Played(self.request, rows[0], self._turns, tokens, cut_off, "\n".join(apart) if apart else None)

    async def _turn(self, row: EpisodeRow) -> Turn | None:
        """The policy's next turn; None where the server does not answer.

        Raises:
            ContextFull: there is no room for it.
        """
        limit = self.settings.max_turn_tokens
        if self._length(row) + limit > self.max_tokens:
            raise ContextFull
        asked = TurnRequest(self.request.problem, self.request.sample, self._put(row), len(row.turns), limit)
        said = await self.ask(asked)
        if said is None:
            return None
        self._said.append(said)
        return Turn(self._turns.add(said.text))

    def _put(self, row: EpisodeRow) -> Prompt:
        texts = [self._turns.text([each]) for each in row.context]
        if not self.chat:
            return "".join(texts)
        roles = ("user", "assistant")
        return [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]

    def _length(self, row: EpisodeRow) -> int:
        """Tokens that are known to stand between the prompt and the next turn."""
        before = [said.prompt_tokens for said in self._said]
        if not before or None in before:
            return 0
        known = cast(list[int], before)
        sizes: list[int] = []  # of every turn but the last, with what it led to
        for (at, left), (then, then_left) in pairwise(zip(known, row.forgotten)):
            sizes.append(then - at)
            sizes[-1] += sum(sizes[left:then_left])
        last = known[-1] + (self._said[-1].tokens or 0) - known[0]
        return last - sum(sizes[row.forgotten[-1] : row.start])
