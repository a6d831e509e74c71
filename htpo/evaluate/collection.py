"""The stored samples of a task: collected, with what is there left out, and judged again."""

import hashlib
import itertools
import json

from htpo.errors import UserError
from htpo.evaluate.answers import Numbered, Row, answer, judge, numbered
from htpo.evaluate.episodes import EnvironmentProblems, play
from htpo.evaluate.generators.vocabulary import Generator
from htpo.evaluate.samples import SampleStore
from htpo.evaluate.votes import equivalent_votes
from htpo.tasks.task import Problems
from htpo.terminal import progress_bar


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
    wanted = set(itertools.product(rows, range(1, samples + 1)))
    try:
        for stored in store.rows():
            unjudged = [row for row in stored if row["correct"] is None]
            if unjudged:
                judge(problems.verifier, rows, unjudged, store.append)
        done = store.done()
        strange = done - wanted
        if strange:
            problem, sample = min(strange)
            raise UserError(
                f"{store.folder} holds sample {sample} of problem {problem}, which is not asked for: it is of another "
                "evaluation"
            )
        if isinstance(problems, EnvironmentProblems):
            play(problems, generator, samples, store.append, done=done, progress=progress)
        else:
            answer(problems, generator, samples, store.append, done=done, progress=progress)
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
                judge(problems.verifier, rows, stored, new.append)
                bar.update(len(stored))
        new.compact(equivalent_votes(problems.verifier, new, progress))
    finally:
        problems.verifier.close()


def _check_same_problem(stored: Row, rows: Numbered, name: str) -> None:
    number = stored["problem"]
    if number not in rows:
        raise UserError(f"problem {number} of {name} is stored but not in the data: give the data that was evaluated")
    prompt = rows[number]["prompt"]
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    for text in texts:
        if text.strip() not in stored["prompt"] and json.dumps(text, ensure_ascii=False)[1:-1] not in stored["prompt"]:
            raise UserError(f"problem {number} of {name} is not the one that was answered: give the data of that time")
