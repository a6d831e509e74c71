"""A task's verifier as TRL reward functions."""

import json
from collections.abc import Callable
from typing import Any

from htpo.engines.trl.judgements import Judgement
from htpo.tasks.prompts import Prompt, readable
from htpo.verifiers.verdict import FAILURES, Verdict, Verifier, judge_finished


class VerifierReward:
    """Reward 1.0 for a correct response, None for one without a verdict, else 0.0; logs how often judging failed.

    Attributes:
        as_sent: gives a prompt as the model gets it, through its chat template.
        ends: ids of the tokens that end a response; one that ends otherwise was cut at the limit and is not judged.
        verdicts: on the responses of the last call.
        judgements: gold, answer and failure of each, for the records.
        answer_column: of the user's rows, where a verifier of the user's own reads them whole.
    """

    __name__ = "correct"

    def __init__(
        self,
        verifier: Verifier,
        columns: list[str],
        ends: set[int] | None = None,
        as_sent: Callable[[Prompt], str] = readable,
        answer_column: str = "answer",
    ):
        self.answer_column = answer_column
        self.verifier, self.ends, self.as_sent = verifier, ends or set(), as_sent
        self.columns = [name for name in columns if name != "prompt"]
        self.verdicts: list[Verdict] = []
        self.judgements: list[Judgement] = []

    def __call__(
        self,
        prompts: list,
        completions: list,
        completion_ids: list[list[int]],
        log_metric: Callable[[str, float], None],
        **given: Any,
    ) -> list[float | None]:
        texts = [completion if isinstance(completion, str) else _last_text(completion) for completion in completions]
        rows = [
            {"prompt": prompt, **{name: given[name][index] for name in self.columns}}
            for index, prompt in enumerate(prompts)
        ]
        finished = [bool(ids) and ids[-1] in self.ends for ids in completion_ids]
        self.verdicts = judge_finished(self.verifier, texts, rows, finished, list(map(self.as_sent, prompts)))
        self.judgements = [
            (gold_of(row, self.answer_column), v.extracted, v.failure)
            for row, v in zip(rows, self.verdicts, strict=True)
        ]
        for kind in FAILURES:
            failed = sum(verdict.failure == kind for verdict in self.verdicts)
            log_metric(f"verifier/{kind}_share", failed / len(self.verdicts))
        return [None if verdict.reward is None else float(verdict.correct) for verdict in self.verdicts]


class PartialCredit:
    """What a verifier's own score adds to 1 for correct and 0 for wrong; asked after the `VerifierReward` it reads."""

    __name__ = "partial_credit"

    def __init__(self, judged: VerifierReward):
        self.judged = judged

    def __call__(self, **given: Any) -> list[float | None]:
        rewards = [(verdict.reward, float(verdict.correct)) for verdict in self.judged.verdicts]
        return [None if reward is None else reward - correct for reward, correct in rewards]


def gold_of(row: dict[str, Any], answer_column: str = "answer") -> str | None:
    """The right answer in a row of a task, or else a right response; None where none is known.

    Args:
        answer_column: of the user's row, which stands in `fields` for verifiers that read it whole.
    """
    given = json.loads(row["fields"]).get(answer_column) if "fields" in row else None
    known = (gold for gold in (row.get("answer"), given, row.get("solution")) if gold is not None)
    gold = next(known, None)
    return None if gold is None else str(gold)


def _last_text(messages: list[dict[str, Any]]) -> str:
    content = messages[-1]["content"] if messages else ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])
