"""Responses as a standalone page: every token shaded by its entropy and marked with its group and weight."""

import math
from itertools import islice

from htpo.analysis.examples import Example
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.token_text import visible
from htpo.figures.responses import weight_text
from htpo.figures.shading import BY_ENTROPY, entropy_scale, ramp, shade
from htpo.report.html import render_page


def responses_page(tokens: TokenAnalysis, title: str) -> str:
    """The page as HTML. All text of prompts and responses is escaped; nothing is loaded from elsewhere.

    Raises:
        LeftOut: no response has tokens.
    """
    scale = entropy_scale(tokens.examples)
    shown = [
        {"example": example, "count": len(example.tokens), "turns": _turns(example, scale)}
        for example in tokens.examples
    ]
    return render_page(
        "responses.html.j2",
        "responses.js",
        title=f"{title}: responses, token by token",
        shown=shown,
        groups=tokens.example_groups,
        grouped_in_training=tokens.table.grouped_in_training,
        stops=ramp(BY_ENTROPY),
        highest=scale.vmax,
    )


def _turns(example: Example, scale) -> list[dict]:
    """The tokens turn by turn, with the turn; of an answer that is no episode all in one, with None."""
    tokens = [_token(token, scale) for token in example.tokens.itertuples()]
    if not example.turns:
        return [{"turn": None, "tokens": tokens}]
    left = iter(tokens)  # fewer than the turns have, where the episode is long
    parts = [{"turn": turn, "tokens": list(islice(left, turn.tokens))} for turn in example.turns]
    return [part for part in parts if part["tokens"]]


def _token(token, scale) -> dict:
    face, ink = shade(token.entropy, scale)
    group = f"G{token.group}" if token.group else ""
    weight = weight_text(token.weight)
    said = [f"token {token.position + 1}: {visible(token.text)}", f"entropy {token.entropy:.3f} nats"]
    said += [f"log-probability {token.log_prob:.3f}"] if not math.isnan(token.log_prob) else []
    said += [f"group {group}"] if group else []
    said += [f"weight {weight}" + (" (detached)" if token.weight == 0 else "")] if weight else []
    said += ["high entropy"] if token.high else []
    return {
        "text": visible(token.text),
        "breaks": "\n" in token.text,
        "face": face,
        "ink": ink,
        "high": bool(token.high),
        "detached": token.weight == 0,
        "group": group,
        "weight": weight,
        "said": ", ".join(said),
    }
