"""The second finding: the entropy of high-entropy tokens in wrong and in correct responses."""

from typing import Any

import numpy as np
import pandas as pd

from htpo.analysis.left_out import LeftOut
from htpo.analysis.tokens import ANSWERS, DIFFICULTIES, TokenTable
from htpo.statistics import PromptSample


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
    missing = [answer for answer in ANSWERS if not (answers == answer).any()]
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
        for answer in ANSWERS:
            member = chosen & (answers == answer).to_numpy()
            parts[answer] = (total * member, count * member)
        if all(part[1].any() for part in parts.values()):
            of = {answer: f"{answer} response" for answer in ANSWERS}
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
