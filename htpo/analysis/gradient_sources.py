"""Where the gradient comes from: each group's share of tokens, of sum |w A| and of the predicted entropy change."""

import numpy as np
import pandas as pd

from htpo.analysis.left_out import LeftOut
from htpo.analysis.tokens import TokenTable

SHARES = ("token_share", "weight_share", "entropy_change_share")


def gradient_sources(table: TokenTable) -> pd.DataFrame:
    """Shares by `run` (number), `step` (update) and `group` (name).

    `token_share` is of the update's tokens, `weight_share` of sum |w A|, `entropy_change_share` as follows.

    The predicted change of policy entropy under a policy-gradient step is -eta Cov(log p, A) (2505.22617). Over the
    N policy tokens kept of an update, a token's part of the covariance is

        c_t = (log p_t - mean log p) (A_t - mean A) / N,    so that    sum_t c_t = Cov(log p, A),

    with p the current policy's probability. A group's share of the predicted change is -S_g / sum_h |S_h|, S_g being
    the sum of c_t over its tokens: below 0 where the group lowers entropy, above 0 where it raises it; their absolute
    values add to 1. `covariance` is the whole of it.

    Raises:
        LeftOut: log-probabilities, advantages or weights are not known, or no token is in a group.
    """
    tokens = table.tokens
    for name in ("log_prob", "advantage", "weight"):
        if not tokens[name].notna().any():
            raise LeftOut(f"no {name.replace('log_prob', 'log-probability')} is stored with these responses")
    if not (tokens["group"] > 0).any():
        raise LeftOut("no token is in a group")
    rows = []
    for (run, step), update in tokens.groupby([table.of("run"), "step"], sort=True):
        log_prob, advantage = update["log_prob"], update["advantage"]
        part = (log_prob - log_prob.mean()) * (advantage - advantage.mean()) / len(update)
        pull = (update["weight"] * advantage).abs()
        groups = update["group"].to_numpy()
        size = len(table.groups) + 1
        count, pulls, parts = (
            np.bincount(groups, values, minlength=size)[1:] for values in (np.ones(len(update)), pull, part)
        )
        with np.errstate(invalid="ignore"):  # numbers that are none give shares that are not known
            pulled, moved, covariance = pulls.sum(), np.abs(parts).sum(), part.sum()
        for index, name in enumerate(table.groups):
            rows.append(
                {
                    "run": int(run),
                    "step": int(step),
                    "group": name,
                    "token_share": count[index] / len(update),
                    "weight_share": _share(pulls[index], pulled),
                    "entropy_change_share": _share(-parts[index], moved),
                    "covariance": float(covariance),
                    "tokens": int(count[index]),
                    "responses": int(update["response_id"].nunique()),
                }
            )
    return pd.DataFrame(rows)


def overall(shares: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """By group: each share's mean over the updates that have it; None where none has."""
    means = shares.groupby("group", sort=False)[list(SHARES)].mean().to_dict("index")
    return {
        group: {name: None if np.isnan(value) else value for name, value in own.items()} for group, own in means.items()
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if 0 < whole < np.inf else np.nan
