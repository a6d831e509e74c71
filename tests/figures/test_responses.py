"""Responses as a picture, and the colours of their tokens."""

import pytest

from htpo.figures.responses import draw_responses
from htpo.figures.shading import shade
from tests.analysis.hostile_tokens import hostile_tokens


def test_the_picture_takes_any_text(recwarn):
    draw_responses(hostile_tokens(), "$").figure.canvas.draw()
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


@pytest.mark.parametrize("entropy", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_text_on_a_shaded_token_has_the_contrast_that_wcag_asks_for(entropy):
    def luminance(colour):
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear))

    darker, lighter = sorted(map(luminance, shade(entropy, lambda value: value)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
