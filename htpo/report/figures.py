"""The figures of the page: drawn by `htpo.analysis`, with a heading and a word on how to read each."""

from collections.abc import Iterator
from dataclasses import dataclass

from htpo.analysis.figures import Figures
from htpo.analysis.left_out import LeftOut
from htpo.figures.drawing import as_csv, as_svg

EXPLAINED = {
    "training-dynamics": (
        "Training over time",
        "Accuracy and reward should rise. Entropy that falls to almost nothing means the policy no longer tries "
        "anything new; length that grows without accuracy means it rambles.",
    ),
    "pass-at-k": (
        "What the policy can solve in k attempts",
        "Left: how often one answer is right. Right: how many problems it can solve at all, given many attempts. "
        "Training that only makes the policy surer lifts the left end and lowers the right one.",
    ),
    "entropy-by-group": (
        "Certainty, group by group",
        "Each curve is a group of tokens with its own rule. Groups at high entropy are the forks where answers part.",
    ),
    "one-group-alone": (
        "One group's rule alone",
        "Each panel switches on the rule of a single group, with PPO's clip everywhere else: how far the curves part "
        "is what that rule does to exploration.",
    ),
    "gradient-sources": (
        "Where the learning comes from",
        "How many tokens a group has, how much of the gradient comes from it, and whether its tokens are predicted to "
        "lower (below 0) or raise (above 0) entropy.",
    ),
    "forking-entropy": (
        "Are wrong answers less sure at their forks?",
        "The paper finds that high-entropy tokens of wrong answers are less certain than those of right ones.",
    ),
    "logic-words": (
        "Do forks begin with words of logic?",
        "The paper finds that high-entropy tokens are often words such as but, so, because, suppose.",
    ),
    "word-clouds": (
        "Tokens the policy is least and most sure of",
        "Larger: further towards that end. Left or above, the least certain; right or below, the most certain.",
    ),
}
"""In the order of the page."""


MOST_DATA = 400_000  # characters of a figure's CSV


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page holds it."""

    name: str
    heading: str
    explanation: str
    svg: str
    csv: str | None  # None: too much for the page


def page_figures(figures: Figures) -> Iterator[PageFigure | tuple[str, str]]:
    """Every figure that can be drawn; of one that cannot, its heading and the reason."""
    for name, (heading, explanation) in EXPLAINED.items():
        if name not in figures:
            continue
        try:
            drawing = figures[name]()
        except LeftOut as reason:
            yield heading, str(reason)
            continue
        data = as_csv(list(drawing.rows[0]), drawing.rows)
        yield PageFigure(name, heading, explanation, as_svg(drawing.figure), data if len(data) <= MOST_DATA else None)
