"""The second finding: the entropy of high-entropy tokens in wrong and in correct responses."""

from typing import Any

import numpy as np
import pandas as pd

from htpo.analysis.left_out import LeftOut
from htpo.analysis.tokens import DIFFICULTIES, TokenTable
from htpo.figures.drawing import BLUE, VERMILION, Drawing, caption, panels
from htpo.statistics import PromptSample, estimate_text

COLOURS = {"wrong": VERMILION, "correct": BLUE}
MARKS = {"wrong": "s", "correct": "o"}


def forking_entropies(table: TokenTable, sample: PromptSample) -> dict[str, Any]:
    """Mean entropy (nats) of high-entropy tokens, with intervals, as plain data.

    Keys: `all` and, where known, `hard` and `easy`, each with `wrong`, `correct` and `difference` (wrong minus correct)
    as estimates, and the numbers of responses; and `same prompt`, the mean over prompts of the difference
    between the wrong and the correct responses to one prompt in one update, in which neither the difficulty nor the
    progress of training can be what makes the difference.

    Raises:
        LeftOut: there are no wrong or no correct responses.
    """
    answers = table.responses["answer"]
    missing = [answer for answer in COLOURS if not (answers == answer).any()]
    if missing:
        what = "not known which responses are correct" if len(missing) == 2 else f"no {missing[0]} responses"
        raise LeftOut(what)
    tokens = table.tokens
    ids = tokens["response_id"].to_numpy()
    high = tokens["high"].to_numpy()
    total = np.bincount(ids[high], tokens["entropy"].to_numpy()[high], minlength=len(table.responses))
    count = np.bincount(ids[high], minlength=len(table.responses)).astype(float)
    found = {}
    for name in ("all", *DIFFICULTIES):
        chosen = (name == "all") | (table.responses["difficulty"] == name).to_numpy()
        parts = {}
        for answer in COLOURS:
            member = chosen & (answers == answer).to_numpy()
            parts[answer] = (total * member, count * member)
        if all(part[1].any() for part in parts.values()):
            of = {answer: f"{answer} response" for answer in COLOURS}
            compared = {answer: sample.ratio(*part, of[answer]).to_json() for answer, part in parts.items()}
            difference = sample.difference(parts["wrong"], parts["correct"], (of["wrong"], of["correct"]))
            compared["difference"] = difference.to_json()
            compared |= {f"{answer}_responses": int((part[1] > 0).sum()) for answer, part in parts.items()}
            found[name] = compared
    paired = _paired(table, total, count)
    here = np.isfinite(paired)
    if here.any():
        difference = sample.ratio(np.where(here, paired, 0.0), here.astype(float), "prompt with both")
        found["same prompt"] = {"difference": difference.to_json(), "prompts": int(here.sum())}
    return found


def _paired(table: TokenTable, total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(responses,) wrong minus correct mean entropy of a prompt, at the first response to it; else NaN."""
    frame = pd.DataFrame(
        {"prompt": table.responses["prompt_id"], "answer": table.responses["answer"], "total": total, "count": count}
    )
    sums = frame.groupby(["prompt", "answer"])[["total", "count"]].sum()
    means = (sums["total"] / sums["count"]).unstack("answer")
    difference = (means["wrong"] - means["correct"]).dropna()
    first = frame.drop_duplicates("prompt").reset_index().set_index("prompt")["index"]
    paired = np.full(len(frame), np.nan)
    paired[first.loc[difference.index].to_numpy()] = difference.to_numpy()
    return paired


def draw_forking_entropies(found: dict[str, Any], sample: PromptSample, title: str) -> Drawing:
    """Mean entropy of high-entropy tokens of wrong and correct responses, all of them and by difficulty."""
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
    text = f"High: the top 20 % of each response's tokens by entropy. Bars: {sample.described}."
    if "same prompt" in found:
        pair = found["same prompt"]
        rows.append({"prompts": "same prompt", "answer": "wrong - correct", **pair["difference"], "responses": ""})
        text += f" Wrong minus correct for the same prompt and update: {estimate_text(pair['difference'], '+.3f')}, "
        text += f"n = {pair['prompts']} prompts."
    caption(figure, text)
    return Drawing("forking-entropy", figure, rows)
