"""Turns of an episode as texts: for a model whose tokens are known to a server alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from htpo.environments import Observation
from htpo.playing.formats import PromptFormat


@dataclass(frozen=True)
class TurnTexts:
    """What `TurnTokens` is for a tokenizer, with ids that stand for whole texts. One belongs to one episode.

    Args:
        told: the words.
        texts: what is shown and what is written, in turn; an id is a place in it.
    """

    told: PromptFormat
    texts: list[str] = field(default_factory=list)

    def first(self, observation: Observation) -> list[int]:
        """See `TurnTokens`."""
        return self.add(self.told.shown(observation, first=True))

    def following(self, turn: Sequence[int], observation: Observation) -> list[int]:
        """See `TurnTokens`."""
        return self.add(self.told.shown(observation, first=False))

    def action(self, turn: Sequence[int]) -> str | None:
        """See `TurnTokens`."""
        return self.told.action(self.text(turn))

    def text(self, ids: Sequence[int]) -> str:
        """The texts, one after another."""
        return "".join(self.texts[each] for each in ids)

    written = text

    def add(self, text: str) -> list[int]:
        """The ids of a text: one."""
        self.texts.append(text)
        return [len(self.texts) - 1]
