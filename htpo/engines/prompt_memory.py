"""Memory of each prompt's answers over epochs: those that taught nothing lately are drawn rarely.

A prompt whose last c visits carried no signal is drawn with probability max(1 / (1 + c), floor). With G answers a visit
and no knowledge of the pass rate, 1 / (1 + c) is about what is left of the probability that its next visit has a signal
(rule of succession); docs/performance.md derives what that does to the prompts that are trained on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class PromptMemory:
    """How often in a row each prompt was visited in vain, and how rarely it is drawn for that."""

    prompts: int
    floor: float  # above 0, at most 1: the least probability of being drawn
    in_vain: NDArray[np.int64] = field(init=False)  # (prompts,): visits without signal since the last with one

    def __post_init__(self) -> None:
        self.in_vain = np.zeros(self.prompts, dtype=np.int64)

    def chances(self) -> NDArray[np.float64]:
        """(prompts,): the probability with which each is drawn when its turn comes."""
        return np.maximum(1 / (1 + self.in_vain), self.floor)

    def visit(self, prompts: Iterable[int], reasons: Iterable[str | None]) -> None:
        """Remember why each prompt's answers carried no signal, or None where they did; unscored says nothing."""
        for prompt, reason in zip(prompts, reasons, strict=True):
            if reason is None:
                self.in_vain[prompt] = 0
            elif reason != "unscored":
                self.in_vain[prompt] += 1

    def order(
        self, turn: Sequence[int], others: Iterable[int], draws: np.random.Generator
    ) -> tuple[Iterator[int], list[int]]:
        """In which order prompts are asked for a batch.

        Args:
            turn: those whose turn it is.
            others: all the rest that may replace them, in the order in which they would.

        Returns:
            (those of the turn that are drawn, others that are drawn, then, where even these run out, those passed over;
            those of the turn that are passed over).
        """
        passed = draws.random(self.prompts) >= self.chances()
        skipped = [prompt for prompt in turn if passed[prompt]]

        def each() -> Iterator[int]:
            later = list(skipped)
            yield from (prompt for prompt in turn if not passed[prompt])
            for prompt in others:
                if passed[prompt]:
                    later.append(prompt)
                else:
                    yield prompt
            yield from later

        return each(), skipped
