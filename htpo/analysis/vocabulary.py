"""Which tokens are chosen with the highest and the lowest mean entropy."""

from dataclasses import dataclass

import pandas as pd

from htpo.analysis.left_out import LeftOut
from htpo.analysis.token_text import visible
from htpo.analysis.tokens import TokenTable

SHOWN = 100  # tokens at either end
FEWEST = 4  # different tokens: with fewer, the ends say nothing


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that occur often enough, by mean entropy."""

    highest: pd.DataFrame  # `token`, `count`, `mean_entropy` (nats); the most uncertain first
    lowest: pd.DataFrame  # the most certain first
    kept: int  # different tokens at or above the floor
    floor: int


def token_vocabulary(table: TokenTable, floor: int) -> Vocabulary:
    """The tokens with highest and lowest mean entropy, up to 100 each and no token in both.

    A token is its text without the spaces around it; one that is nothing but spaces is shown as signs.

    Args:
        floor: tokens that occur less often are left out, for their mean says little.

    Raises:
        LeftOut: fewer than four tokens remain.
    """
    texts = table.tokens["text"].cat
    shown = pd.Series([visible(text).strip() or visible(text) for text in texts.categories], dtype=object)
    names = shown.to_numpy()[texts.codes.to_numpy()]
    means = table.tokens["entropy"].groupby(names).agg(["size", "mean"])
    means = means[means["size"] >= floor].rename_axis("token").reset_index()
    means.columns = ["token", "count", "mean_entropy"]
    if len(means) < FEWEST:
        raise LeftOut(
            f"{len(means)} different tokens occur {floor} times or more: lower --min_count, or give more text"
        )
    ranked = means.sort_values(["mean_entropy", "token"], ascending=[False, True], ignore_index=True)
    count = min(SHOWN, len(ranked) // 2)
    return Vocabulary(ranked.head(count), ranked.tail(count)[::-1].reset_index(drop=True), len(ranked), floor)
