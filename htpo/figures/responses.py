"""Responses as a picture: every token shaded by its entropy, its group and weight written below it."""

import math

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from htpo.analysis.examples import Example
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.token_text import visible
from htpo.figures.drawing import Drawing, caption, headline, in_font
from htpo.figures.shading import BY_ENTROPY, entropy_scale, shade

FONT = "DejaVu Sans Mono"
COLUMNS = 110  # characters to a line
MOST_LINES = 14  # of one response; the page shows all
MARK = 0.62  # width of a character of the marks, in characters of the text
CHARACTER, LINE = 0.095, 0.52  # inches
HEADING = 1.1  # lines
TEXT_SIZE, MARK_SIZE = 10.5, 6.5  # points


def draw_responses(tokens: TokenAnalysis, title: str) -> Drawing:
    """All examples below each other, with one scale of entropy."""
    examples = tokens.examples
    scale = entropy_scale(examples)
    laid = [_lines(example) for example in examples]
    heights = [len(lines) + HEADING for lines in laid]
    figure = Figure(figsize=(COLUMNS * CHARACTER + 0.3, sum(heights) * LINE + 2.2), layout="constrained")
    headline(figure, title)
    grid = figure.subplots(len(examples), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, example, lines in zip(grid, examples, laid, strict=True):
        _draw(axes, example, lines, scale)
    bar = figure.colorbar(
        ScalarMappable(scale, BY_ENTROPY), ax=list(grid), location="bottom", shrink=0.4, aspect=50, pad=0.01
    )
    bar.set_label("entropy, nats")
    names = "; ".join(tokens.example_groups)
    caption(
        figure,
        f"n = {len(examples)} responses. Below each token: its group and its weight w in the gradient w A grad log p "
        "(where known). Outlined: the top 20 % of the response's tokens by entropy. Struck through: weight 0. "
        + (f"Groups: {names}." if names else ""),
    )
    return Drawing(figure, _rows(examples))


def weight_text(weight: float) -> str:
    """A weight as it is written beside a token; empty where it is not known."""
    return "" if math.isnan(weight) else f"{weight:.2f}"


def _lines(example: Example) -> list[list[tuple[int, str, float, float]]]:
    """Lines of (token index, text, left, width), in characters."""
    lines, left = [[]], 0.0
    for index, (text, group, weight) in enumerate(zip(*(example.tokens[c] for c in ("text", "group", "weight")))):
        shown = in_font(visible(text), FONT)
        marks = max(len(f"G{group}") if group else 0, len(weight_text(weight)))
        width = min(max(len(shown), MARK * marks) + 0.3, COLUMNS)
        if left + width > COLUMNS:
            lines.append([])
            left = 0.0
        lines[-1].append((index, shown, left, width))
        left += width
        if "\n" in text:
            lines.append([])
            left = 0.0
    return [line for line in lines if line][:MOST_LINES]


def _draw(axes: Axes, example: Example, lines: list[list[tuple[int, str, float, float]]], scale: Normalize) -> None:
    axes.set(xlim=(0, COLUMNS), ylim=(len(lines), -HEADING))
    axes.axis("off")
    shown = sum(map(len, lines))
    cut = "" if shown == example.length else f"the first {shown} of "
    heading = f"{example.title}: {cut}{example.length} tokens"
    heading += f", update {example.step}" if example.step is not None else ""
    heading += f", accuracy on the prompt {example.group_accuracy:.2f}" if example.group_accuracy is not None else ""
    _text(axes, 0, -0.75, heading, TEXT_SIZE, family="DejaVu Sans", weight="bold")
    prompt = " ".join(visible(example.prompt).split())
    prompt = prompt if len(prompt) <= COLUMNS - 10 else prompt[: COLUMNS - 11] + "…"
    _text(axes, 0, -0.35, "prompt: " + in_font(prompt, FONT), TEXT_SIZE - 1.5, color="#444444")
    tokens = example.tokens
    columns = (tokens[name].to_numpy() for name in ("entropy", "group", "weight", "high"))
    entropy, group, weight, high = columns
    for row, line in enumerate(lines):
        for index, shown_text, left, width in line:
            face, ink = shade(entropy[index], scale)
            outline = {"edgecolor": "black", "linewidth": 1.3} if high[index] else {"linewidth": 0}
            axes.add_patch(Rectangle((left + 0.05, row), width - 0.1, 0.5, facecolor=face, **outline))
            middle = left + width / 2
            _text(axes, middle, row + 0.25, shown_text[:COLUMNS], TEXT_SIZE, color=ink, ha="center")
            if weight[index] == 0:
                axes.plot([left + 0.1, left + width - 0.1], [row + 0.25] * 2, color=ink, linewidth=1)
            if group[index]:
                _text(axes, middle, row + 0.63, f"G{group[index]}", MARK_SIZE, ha="center")
            _text(axes, middle, row + 0.82, weight_text(weight[index]), MARK_SIZE, ha="center")


def _text(axes: Axes, x: float, y: float, text: str, size: float, **style) -> None:
    axes.text(x, y, text, **{"fontsize": size, "family": FONT, "va": "center", "parse_math": False} | style)


def _rows(examples: list[Example]) -> list[dict]:
    columns = ["position", "text", "entropy", "log_prob", "group", "weight", "high"]
    return [
        {"response": example.title, **row}
        for example in examples
        for row in example.tokens[columns].astype({"text": object}).to_dict("records")
    ]
