"""Responses as a standalone page: every token shaded by its entropy and marked with its group and weight."""

import math

import matplotlib
from matplotlib.colors import to_hex

from htpo.analysis.examples import Example
from htpo.analysis.pages import render_page
from htpo.analysis.responses_picture import COLOURS, entropy_scale, shade, weight_text
from htpo.analysis.token_text import visible

STOPS = 9  # of the scale's gradient


def responses_page(examples: list[Example], groups: dict[str, str], grouped_in_training: bool, title: str) -> str:
    """The page as HTML. All text of prompts and responses is escaped; nothing is loaded from elsewhere."""
    scale = entropy_scale(examples)
    shown = [
        {"example": example, "tokens": [_token(token, scale) for token in example.tokens.itertuples()]}
        for example in examples
    ]
    used = sorted({int(number) for example in examples for number in example.tokens["group"] if number > 0})
    colours = matplotlib.colormaps[COLOURS]
    return render_page(
        "htpo.analysis",
        "responses.html.j2",
        "responses.js",
        title=title,
        shown=shown,
        groups=[groups.get(f"G{number}", f"G{number}") for number in used],
        grouped_in_training=grouped_in_training,
        stops=[to_hex(colours(stop / (STOPS - 1))) for stop in range(STOPS)],
        highest=scale.vmax,
    )


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
