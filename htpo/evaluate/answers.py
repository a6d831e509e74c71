"""The one way from problems to judged samples: asked, answered, judged, and kept as they come."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any

from htpo.evaluate.generators.vocabulary import Generator, Key, Request, Response
from htpo.tasks.task import Problems
from htpo.terminal import progress_bar
from htpo.verifiers.verdict import Verifier, judge_finished

Row = dict[str, Any]
"""A sample as plain data: the columns of `samples.SCHEMA` but `vote`."""
Numbered = Mapping[int, dict[str, Any]]
"""The rows of a dataset by problem number."""
UNJUDGED = {"correct": None, "score": None, "extracted": None, "failure": None}


def numbered(problems: Problems) -> dict[int, dict[str, Any]]:
    """The rows by problem number: that in the source where each has one of its own, else their place, from 1."""
    rows = problems.rows.to_list()
    by_number = {row.get("row"): row for row in rows}
    return by_number if None not in by_number and len(by_number) == len(rows) else dict(enumerate(rows, start=1))


def answer(
    problems: Problems,
    generator: Generator,
    samples: int,
    keep: Callable[[list[Row]], Any],
    *,
    done: Set[Key] = frozenset(),
    progress: str | None = None,
) -> None:
    """Have a model answer every problem; each list of answers is judged and kept before the next is asked for.

    Args:
        samples: answers to every problem.
        keep: takes judged samples, in any order; also those that were not judged, because that raised.
        done: samples that are there already.
        progress: title of a progress bar; None shows none.

    Raises:
        UserError: from the generator or the verifier; what came before it is kept.
    """
    rows = numbered(problems)
    requests = [
        Request(number, sample, row["prompt"]) for number, row in rows.items() for sample in range(1, samples + 1)
    ]
    title = progress or ""
    with progress_bar(title, len(requests), "sample", initial=len(done), shown=progress is not None) as bar:
        for responses in generator.generate(problems.name, requests, done):
            judge(problems.verifier, rows, [_as_row(response) for response in responses], keep)
            bar.update(len(responses))


def judge(verifier: Verifier, rows: Numbered, answers: Sequence[Row], keep: Callable[[list[Row]], Any]) -> None:
    """Judge answers; where that raises, they are kept without verdict."""
    try:
        verdicts = judge_finished(
            verifier,
            [answer["response"] for answer in answers],
            [rows[answer["problem"]] for answer in answers],
            [answer["finished"] for answer in answers],
            sent=[answer["prompt"] for answer in answers],
        )
    except BaseException:
        keep([answer | UNJUDGED for answer in answers])
        raise
    keep([answer | asdict(verdict) for answer, verdict in zip(answers, verdicts, strict=True)])


def _as_row(response: Response) -> Row:
    return {
        "problem": response.request.problem,
        "sample": response.request.sample,
        "prompt": response.sent,
        "response": response.text,
        "tokens": response.tokens,
        "finished": response.finished,
        "reasoning": response.reasoning,
    }
