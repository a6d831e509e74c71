"""Grouping answers that mean the same."""

from collections.abc import Callable, Sequence


def answer_classes(
    answers: Sequence[Sequence[str | None]], equivalent: Callable[[list[tuple[str, str]]], list[bool]]
) -> list[list[int | None]]:
    """Classes of equivalent answers, problem by problem.

    An answer joins the first class whose first member it is equivalent to (rounding is not transitive: two decimals may
    be near a third and not near each other). Each round asks about all problems at once, one question for each distinct
    answer that has no class yet, so there are as many rounds as the most classes of a problem.

    Args:
        answers: the extracted answers to each problem; None where there was none.
        equivalent: says of pairs whether they are the same, as `MathVerifier.equivalent` does.

    Returns:
        the number of each answer's class, 0.. in the order of their first members; None for None.
    """
    waiting = [[answer for answer in dict.fromkeys(each) if answer is not None] for each in answers]
    classes: list[dict[str, int]] = [{} for _ in answers]
    found = 0
    while any(waiting):
        asked = [(problem, each[0], other) for problem, each in enumerate(waiting) for other in each[1:]]
        same = equivalent([(first, other) for _, first, other in asked])
        for problem, each in enumerate(waiting):
            if each:
                classes[problem][each[0]] = found
        for (problem, _, other), joins in zip(asked, same, strict=True):
            if joins:
                classes[problem][other] = found
        waiting = [[answer for answer in each if answer not in known] for each, known in zip(waiting, classes)]
        found += 1
    return [[None if answer is None else known[answer] for answer in each] for each, known in zip(answers, classes)]
