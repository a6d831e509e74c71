"""An end to a search for prompts to learn from that finds none: verl's own draws prompts for ever."""

from collections import Counter
from collections.abc import Mapping

from htpo.errors import UserError

TOO_OLD, FAILED = "were too old to learn from", "failed (verl's log says why)"


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
        self.right = self.wrong = 0
        self.others: Counter[str] = Counter()

    def leave_out(self, by_value: Mapping[float, int]) -> None:
        """So many prompts were left out, by the value that all their answers got."""
        for value, prompts in by_value.items():
            if value > self.threshold:
                self.right += prompts
            else:
                self.wrong += prompts

    def leave_out_for(self, reason: str, prompts: int) -> None:
        """So many prompts were left out for `TOO_OLD` or `FAILED`."""
        self.others[reason] += prompts

    def draw(self, prompts: int) -> None:
        """More prompts are about to be drawn instead of those left out.

        Raises:
            UserError: they would be too many.
        """
        if self.drawn + prompts > self.rounds * self.prompts:
            raise UserError(
                f"{self.drawn} prompts were drawn for a batch of {self.prompts}, which is not filled: "
                f"{self._reasons()}. {self._remedy()}, or a +htpo.max_generation_rounds above {self.rounds}"
            )
        self.drawn += prompts

    def _reasons(self) -> str:
        reasons = [
            f"{self.right} were answered always right (too easy) and {self.wrong} always wrong (too hard)",
            *(f"{prompts} {reason}" for reason, prompts in self.others.items() if prompts),
        ]
        return ", ".join(reasons)

    def _remedy(self) -> str:
        ((reason, most),) = self.others.most_common(1) or [("", 0)]
        if most <= self.right + self.wrong:
            return f"Give {'harder' if self.right > self.wrong else 'easier'} prompts, more samples per prompt"
        if reason == FAILED:
            return "Mend what fails"
        return "Give a trainer.v1.sampler.max_off_policy_threshold above the present one"
