"""Turns of an episode as token ids: what a policy sampled is carried as it is, what it is shown is put between."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from htpo.environments import Observation
from htpo.errors import UserError
from htpo.playing.formats import PromptFormat
from htpo.tasks.prompts import as_chat, as_sent, check_template, tokenize_prompts

_TURN = "TURN-OF-THE-POLICY"  # stands for it where a chat template is asked what comes after


@dataclass(frozen=True)
class TurnTokens:
    """An environment's side of an episode as token ids, and the policy's as an action.

    Args:
        told: the words.
        template_options: of the tokenizer's chat template.
    """

    told: PromptFormat
    tokenizer: Any
    template_options: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Raise `UserError` where the chat template refuses what is told, or does not show what the policy wrote."""
        if self.told.chat:
            check_template(as_chat("-"), self.tokenizer, self.template_options)
            self._in_template("-")

    def first(self, observation: Observation) -> list[int]:
        """The prompt: what the policy reads before its first turn."""
        text = self.told.shown(observation, first=True)
        prompt = as_chat(text) if self.told.chat else text
        return tokenize_prompts([prompt], self.tokenizer, self.template_options)[0]

    def following(self, turn: Sequence[int], observation: Observation) -> list[int]:
        """What stands between a turn of the policy and its next.

        A chat template ends every turn itself; where the policy has sampled that token, it is not put twice.

        Raises:
            UserError: the chat template does not show what the policy wrote.
        """
        text = self.told.shown(observation, first=False)
        if not self.told.chat:
            return self._encode(text)
        ids = self._encode(self._in_template(text))
        return ids[1:] if ids[:1] == list(turn[-1:]) else ids

    def action(self, turn: Sequence[int]) -> str | None:
        """The action in a turn of the policy, None where there is none."""
        return self.told.action(self.written(turn))

    def before_action(self, turn: Sequence[int]) -> int:
        """How many ids of a turn come before the one in which its action begins.

        Ids are not characters: one may hold both sides of the border, and a character may take several. So the text of
        the first ids is compared with that of all, which is right from some id on: it is found by halving.
        """
        written = self.written(turn)
        start = self.told.action_start(written)
        if start == 0:
            return 0
        if start is None or start == len(written):
            return len(turn)
        border = start

        def reaches(count: int) -> bool:
            begun = self.written(turn[:count])
            return len(begun) > border and begun[:border] == written[:border]

        return bisect_left(range(len(turn)), True, key=reaches) - 1

    def text(self, ids: Sequence[int]) -> str:
        """Ids as the policy read them, special tokens with them."""
        text: str = self.tokenizer.decode(list(ids))
        return text

    def written(self, turn: Sequence[int]) -> str:
        """A turn of the policy, to be read by people."""
        text: str = self.tokenizer.decode(list(turn), skip_special_tokens=True)
        return text

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text=text, add_special_tokens=False)["input_ids"]
        return ids

    def _in_template(self, text: str) -> str:
        conversation = [
            {"role": "user", "content": "-"},
            {"role": "assistant", "content": _TURN},
            {"role": "user", "content": text},
        ]
        _, turn, rest = as_sent(conversation, self.tokenizer, self.template_options).partition(_TURN)
        if not turn:
            raise UserError("the chat template does not show earlier turns of the policy: use --prompt_format compact")
        return rest
