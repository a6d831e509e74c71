"""Collecting the responses to a task: generated, judged and stored as they come; and judging stored ones again."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from htpo.errors import UserError
from htpo.evaluate.generators.vocabulary import Generator, Request, Response
from htpo.evaluate.samples import Row, SampleStore
from htpo.evaluate.votes import equivalent_votes
from htpo.tasks.task import Problems
from htpo.terminal import progress_bar
from htpo.verifiers.verdict import judge_finished

UNJUDGED = {"correct": None, "score": None, "extracted": None, "failure": None}


def numbered(problems: Problems) -> dict[int, dict[str, Any]]:
    """The rows by problem number: that in the source, or of generated puzzles their place, from 1."""
    return {row.get("row", place): row for place, row in enumerate(problems.rows.to_list(), start=1)}


def digest(problems: Problems) -> str:
    """A short hash of everything the model and the verifier see: the same problems have the same."""
    rows = json.dumps(problems.rows.to_list(), sort_keys=True, default=str)
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def collect(
    problems: Problems, generator: Generator, store: SampleStore, samples: int, progress: str | None = None
) -> int:
    """Have the model answer what is not stored yet; every answer is judged and stored before the next ones are taken.

    When judging fails or is interrupted, the responses are stored without verdict, and judged by the next call.

    Args:
        samples: responses to every problem.
        progress: title of a progress bar; None shows none.

    Returns:
        How many responses are missing: those a server never gave.

    Raises:
        UserError: from the generator or the verifier; what came before it is stored.
    """
    rows = numbered(problems)
    requests = [
        Request(number, sample, row["prompt"]) for number, row in rows.items() for sample in range(1, samples + 1)
    ]
    wanted = {(request.problem, request.sample) for request in requests}
    try:
        _judge_the_unjudged(problems, rows, store)
        done = store.done()
        strange = done - wanted
        if strange:
            problem, sample = min(strange)
            raise UserError(
                f"{store.folder} holds sample {sample} of problem {problem}, which is not asked for: it is of another "
                "evaluation"
            )
        title = progress or ""
        with progress_bar(title, len(requests), "sample", initial=len(done), shown=progress is not None) as bar:
            for responses in generator.generate(problems.name, requests, done):
                _judge_and_store(problems, rows, store, [_as_row(response) for response in responses])
                bar.update(len(responses))
        missing = len(wanted - store.done())
        if not missing:
            store.compact(equivalent_votes(problems.verifier, store, progress))
    finally:
        problems.verifier.close()
    return missing


def judge_again(problems: Problems, old: SampleStore, new: SampleStore, progress: str | None = None) -> None:
    """Judge the stored responses of `old` with the verifier of `problems`, into `new`.

    Raises:
        UserError: a problem is missing, or is another one now.
    """
    rows = numbered(problems)
    try:
        with progress_bar(progress or "", len(old.done()), "sample", shown=progress is not None) as bar:
            for stored in old.rows():
                for row in stored:
                    _check_same_problem(row, rows, problems.name)
                _judge_and_store(problems, rows, new, stored)
                bar.update(len(stored))
        new.compact(equivalent_votes(problems.verifier, new, progress))
    finally:
        problems.verifier.close()


def _check_same_problem(stored: Row, rows: dict[int, dict[str, Any]], name: str) -> None:
    number = stored["problem"]
    if number not in rows:
        raise UserError(f"problem {number} of {name} is stored but not in the data: give the data that was evaluated")
    prompt = rows[number]["prompt"]
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    for text in texts:
        if text.strip() not in stored["prompt"] and json.dumps(text, ensure_ascii=False)[1:-1] not in stored["prompt"]:
            raise UserError(f"problem {number} of {name} is not the one that was answered: give the data of that time")


def _judge_the_unjudged(problems: Problems, rows: dict[int, dict[str, Any]], store: SampleStore) -> None:
    for stored in store.rows():
        waiting = [row for row in stored if row["correct"] is None]
        if waiting:
            _judge_and_store(problems, rows, store, waiting)


def _judge_and_store(
    problems: Problems, rows: dict[int, dict[str, Any]], store: SampleStore, responses: Sequence[Row]
) -> None:
    try:
        verdicts = judge_finished(
            problems.verifier,
            [row["response"] for row in responses],
            [rows[row["problem"]] for row in responses],
            [row["finished"] for row in responses],
            sent=[row["prompt"] for row in responses],
        )
    except BaseException:
        store.append([row | UNJUDGED for row in responses])
        raise
    store.append(
        [
            row | {name: getattr(verdict, name) for name in UNJUDGED}
            for row, verdict in zip(responses, verdicts, strict=True)
        ]
    )


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
