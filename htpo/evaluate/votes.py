"""Which answers vote together for maj@k: those that mean the same, as far as the verifier can tell."""

from collections import Counter
from typing import Any

from htpo.evaluate.generators.vocabulary import Key
from htpo.evaluate.samples import SampleStore
from htpo.terminal import progress_bar
from htpo.verifiers.equivalence import answer_classes
from htpo.verifiers.verdict import Verifier

MOST_COMPARED = 64  # distinct wrong answers to a problem, the most frequent ones: comparing m takes up to m^2 questions
PROBLEMS_AT_ONCE = 16


def as_vote(answer: str | None) -> str | None:
    """An answer as it is compared with others as text: without differences of white space."""
    return None if answer is None else " ".join(answer.split())


def equivalent_votes(verifier: Verifier, store: SampleStore, progress: str | None = None) -> dict[Key, str]:
    """By sample, the answer that stands for its answer and all that mean the same, where that is another text.

    Of a verifier that has `equivalent` (pairs of answers -> whether they mean the same). All right answers to a problem
    are one; a wrong answer joins the first one that it is equivalent to. Problems that nobody solved are left out: no
    vote there can be right. Beyond the 64 most frequent wrong texts answers are compared as texts.

    Args:
        progress: title of a progress bar; None shows none.
    """
    equivalent = getattr(verifier, "equivalent", None)
    if equivalent is None:
        return {}
    by_problem = [rows for rows in _answers(store) if any(right for *_, right in rows)]
    votes: dict[Key, str] = {}
    title = f"{progress}: equal answers"
    with progress_bar(title, len(by_problem), "problem", shown=progress is not None and bool(by_problem)) as bar:
        for start in range(0, len(by_problem), PROBLEMS_AT_ONCE):
            some = by_problem[start : start + PROBLEMS_AT_ONCE]
            wrong = [Counter(text for _, text, right in rows if not right) for rows in some]
            compared = [[text for text, _ in counted.most_common(MOST_COMPARED)] for counted in wrong]
            for rows, texts, classes in zip(some, compared, answer_classes(compared, equivalent)):
                stands = {text: texts[classes.index(number)] for text, number in zip(texts, classes)}
                gold = next(text for _, text, right in rows if right)
                for key, text, right in rows:
                    vote = gold if right else stands.get(text, text)
                    if vote != text:
                        votes[key] = vote
            bar.update(len(some))
    return votes


def _answers(store: SampleStore) -> list[list[tuple[Key, str, bool]]]:
    """(sample, answer as text, whether it is right), of those that have an answer, problem by problem."""
    found: dict[int, list[Any]] = {}
    for row in store.measured().select(["problem", "sample", "extracted", "failure", "correct"]).to_pylist():
        if row["extracted"] is not None and row["failure"] is None:
            answer = (row["problem"], row["sample"]), as_vote(row["extracted"]), row["correct"]
            found.setdefault(row["problem"], []).append(answer)
    return list(found.values())
