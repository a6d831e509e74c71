"""What a task's verifier says of sampled responses, with the right answers beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from htpo.playing.player import EpisodeRow
from htpo.playing.verdicts import EPISODE
from htpo.tasks.prompts import Prompt, readable
from htpo.tasks.task import gold_of
from htpo.verifiers.verdict import Verdict, Verifier, judge_finished


@dataclass(frozen=True)
class Judgement:
    """What was said of one response."""

    verdict: Verdict
    gold: str | None  # the right answer, or else a right response, as far as the data says
    episode: EpisodeRow | None = None  # that the response is


@dataclass(frozen=True)
class Judge:
    """Has a verifier judge what was sampled.

    Args:
        as_sent: gives a prompt as the model gets it, through its chat template.
        answer_column: of the user's rows, where a verifier of the user's own reads them whole.
    """

    verifier: Verifier
    as_sent: Callable[[Prompt], str] = readable
    answer_column: str = "answer"

    def __call__(
        self, rows: Sequence[dict[str, Any]], responses: Sequence[str], finished: Sequence[bool]
    ) -> list[Judgement]:
        """Judge a response to each row's prompt; one that was not finished was cut at the limit and is wrong."""
        sent = [self.as_sent(row["prompt"]) for row in rows]
        verdicts = judge_finished(self.verifier, responses, rows, finished, sent)
        return [
            Judgement(verdict, gold_of(row, self.answer_column), row.get(EPISODE))
            for row, verdict in zip(rows, verdicts, strict=True)
        ]
