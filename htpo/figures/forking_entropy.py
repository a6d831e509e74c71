"""The second finding: the entropy of high-entropy tokens in wrong and in correct responses."""

from typing import Any

from htpo.analysis.token_analysis import TokenAnalysis
from htpo.figures.drawing import BLUE, VERMILION, Drawing, caption, panels
from htpo.statistics import estimate_text

COLOURS = {"wrong": VERMILION, "correct": BLUE}
MARKS = {"wrong": "s", "correct": "o"}


def draw_forking_entropies(tokens: TokenAnalysis, title: str) -> Drawing:
    """Mean entropy of high-entropy tokens of wrong and correct responses, all of them and by difficulty."""
    found = tokens.forking_entropies
    shown = {name: compared for name, compared in found.items() if name != "same prompt"}
    figure, (axes,) = panels(1, 1, title, height=3.6)
    rows: list[dict[str, Any]] = []
    for answer, offset in (("wrong", -0.1), ("correct", 0.1)):
        for place, (name, compared) in enumerate(shown.items()):
            one = compared[answer]
            if one["value"] is None:
                continue
            reach = None if one["low"] is None else [[one["value"] - one["low"]], [one["high"] - one["value"]]]
            axes.errorbar(
                place + offset, one["value"], reach, fmt=MARKS[answer], color=COLOURS[answer], capsize=4, markersize=8,
                label=f"{answer} responses" if place == 0 else None,
            )  # fmt: skip
            rows.append({"prompts": name, "answer": answer, **one, "responses": compared[f"{answer}_responses"]})
    labels = [
        f"{name} prompts\nn = {c['wrong_responses']:,} wrong,\n{c['correct_responses']:,} correct"
        for name, c in shown.items()
    ]
    axes.set_xticks(range(len(labels)), labels, fontsize="small")
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylabel="mean entropy of high-entropy tokens, nats")
    axes.margins(y=0.15)
    axes.legend(fontsize="small", frameon=False)
    text = f"High: the top 20 % of each response's tokens by entropy. Bars: {tokens.sample.described}."
    if "same prompt" in found:
        pair = found["same prompt"]
        rows.append({"prompts": "same prompt", "answer": "wrong - correct", **pair["difference"], "responses": ""})
        text += f" Wrong minus correct for the same prompt and update: {estimate_text(pair['difference'], '+.3f')}, "
        text += f"n = {pair['prompts']} prompts."
    caption(figure, text)
    return Drawing(figure, rows)
