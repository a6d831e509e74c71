"""An end to dynamic sampling that finds no prompts to learn from: verl's own draws prompts for ever."""

from collections import Counter
from collections.abc import Mapping

from htpo.errors import UserError


class DrawLimit:
    """Counts what is drawn for one batch.

    Args:
        rounds: batches' worth of prompts that may be drawn for one batch.
        prompts: of a batch.
        threshold: a metric's value above it means correct.
    """

    def __init__(self, rounds: int, prompts: int, threshold: float):
        self.rounds, self.prompts, self.threshold = rounds, prompts, threshold
        self.start()

    def start(self) -> None:
        """A batch's prompts are drawn."""
        self.drawn = self.prompts
        self.left_out: Counter[bool] = Counter()

    def leave_out(self, by_value: Mapping[float, int]) -> None:
        """So many prompts were left out, by the value that all their answers got."""
        for value, prompts in by_value.items():
            self.left_out[value > self.threshold] += prompts

    def draw(self, prompts: int) -> None:
        """More prompts are about to be drawn.

        Raises:
            UserError: they would be too many.
        """
        if self.drawn + prompts > self.rounds * self.prompts:
            right, wrong = self.left_out[True], self.left_out[False]
            raise UserError(
                f"dynamic sampling drew {self.drawn} prompts for a batch of {self.prompts} and has not filled it: "
                f"{right} were answered always right (too easy) and {wrong} always wrong (too hard). Give "
                f"{'harder' if right > wrong else 'easier'} prompts, more samples per prompt, or a "
                f"+htpo.max_generation_rounds above {self.rounds}"
            )
        self.drawn += prompts
