"""Every figure once: its name, what it is drawn of and by what, and on the report's page how to read it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from htpo.analysis.left_out import LeftOut
from htpo.analysis.subject import Series, StudyTask
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.figures.drawing import Drawing
from htpo.figures.forking_entropy import draw_forking_entropies
from htpo.figures.gradient_sources import draw_gradient_sources
from htpo.figures.logic_share import draw_logic_shares
from htpo.figures.pass_at_k import Evaluations, draw_differences, draw_evaluations, draw_pass_at_k
from htpo.figures.responses import draw_responses
from htpo.figures.training import draw_entropy_by_group, draw_one_group_alone, draw_run, draw_training
from htpo.figures.word_clouds import draw_word_clouds
from htpo.runs import RunRecord

Shown = TypeVar("Shown")


@dataclass(frozen=True)
class Entry(Generic[Shown]):
    """A figure of the catalogue."""

    name: str  # of its files
    title: str  # what stands above it, after the name of what it is drawn of
    draw: Callable[[Shown, str], Drawing]  # of that and the whole title; raises `LeftOut` where that cannot be
    heading: str = ""  # on the report's page; without one it is not there
    reading: str = ""  # how to read it, below the heading


OF_SERIES: list[Entry[Sequence[Series]]] = [
    Entry(
        "training-dynamics",
        "training dynamics",
        draw_training,
        "Training over time",
        "Accuracy and reward should rise. Entropy that falls to almost nothing means the policy no longer tries "
        "anything new; length that grows without accuracy means it rambles.",
    ),
    Entry(
        "pass-at-k",
        "held-out pass@k",
        draw_pass_at_k,
        "What the policy can solve in k attempts",
        "Left: how often one answer is right. Right: how many problems it can solve at all, given many attempts. "
        "Training that only makes the policy surer lifts the left end and lowers the right one.",
    ),
    Entry(
        "entropy-by-group",
        "entropy by group",
        draw_entropy_by_group,
        "Certainty, group by group",
        "Each curve is a group of tokens with its own rule. Groups at high entropy are the forks where answers part.",
    ),
    Entry(
        "one-group-alone",
        "one group's objective alone",
        draw_one_group_alone,
        "One group's rule alone",
        "Each panel switches on the rule of a single group, with PPO's clip everywhere else: how far the curves part "
        "is what that rule does to exploration.",
    ),
]
"""Of series beside each other, or of one; in the order of the page."""

OF_TOKENS: list[Entry[TokenAnalysis]] = [
    Entry(
        "gradient-sources",
        "where the gradient comes from",
        draw_gradient_sources,
        "Where the learning comes from",
        "How many tokens a group has, how much of the gradient comes from it, and whether its tokens are predicted to "
        "lower (below 0) or raise (above 0) entropy.",
    ),
    Entry(
        "forking-entropy",
        "entropy of high-entropy tokens",
        draw_forking_entropies,
        "Are wrong answers less sure at their forks?",
        "The paper finds that high-entropy tokens of wrong answers are less certain than those of right ones.",
    ),
    Entry(
        "logic-words",
        "logic words by token entropy",
        draw_logic_shares,
        "Do forks begin with words of logic?",
        "The paper finds that high-entropy tokens are often words such as but, so, because, suppose.",
    ),
    Entry(
        "word-clouds",
        "tokens of highest and lowest mean entropy",
        draw_word_clouds,
        "Tokens the policy is least and most sure of",
        "Larger: further towards that end. Left or above, the least certain; right or below, the most certain.",
    ),
    Entry("responses", "responses, token by token", draw_responses),
]
"""Of the tokens of one series; in the order of the page."""

OF_EVALUATIONS: list[Entry[Evaluations]] = [
    Entry(
        "pass-at-k",
        "pass@k",
        draw_evaluations,
        "What the model can solve in k attempts",
        "Left: how often one answer is right. Right: how many problems it can solve at all, given many attempts.",
    )
]
"""Of evaluations beside each other, or of one."""

OF_RUN: list[Entry[RunRecord]] = [Entry("training", "training", draw_run)]
"""Of one run, in its own folder."""

OF_STUDY: list[Entry[StudyTask]] = [
    Entry("training", "training", lambda task, title: draw_training(task.series, title)),
    Entry("pass-at-k", "held-out pass@k", lambda task, title: draw_pass_at_k(task.series, title)),
    Entry("differences", "difference of pass@k", draw_differences),
]
"""Of a task of a study, whose name comes after the figure's."""

PICTURE_SUFFIXES = (".png", ".svg", ".csv")


def drawn(entries: Sequence[Entry[Shown]], shown: Shown, title: str) -> Iterator[tuple[Entry[Shown], Drawing | str]]:
    """Every figure of a list drawn of what is shown, or why it cannot be."""
    for entry in entries:
        try:
            yield entry, entry.draw(shown, f"{title}: {entry.title}")
        except LeftOut as reason:
            yield entry, str(reason)


def saved(
    entries: Sequence[Entry[Shown]], shown: Shown, title: str, folder: Path, suffix: str = ""
) -> Iterator[tuple[str, Path | str]]:
    """Every figure of a list drawn and saved in a folder: its name and its picture, or why it cannot be drawn.

    Files of an earlier time are removed where there is none.
    """
    for entry, drawing in drawn(entries, shown, title):
        name = f"{entry.name}{suffix}"
        if isinstance(drawing, Drawing):
            yield entry.name, drawing.save(folder, name)
            continue
        for ending in PICTURE_SUFFIXES:
            (folder / f"{name}{ending}").unlink(missing_ok=True)
        yield entry.name, drawing
