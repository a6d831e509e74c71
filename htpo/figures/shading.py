"""The colours that tokens are shaded with, in pictures and on pages alike."""

from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.colors import Normalize, to_hex

from htpo.analysis.examples import Example

BY_ENTROPY = "cividis"
BY_PULL = "PuOr_r"  # of w A, which has a sign: purple below 0, orange above
STOPS = 9  # of a ramp


def entropy_scale(examples: list[Example]) -> Normalize:
    """From 0 to the highest entropy that is shown."""
    return Normalize(0, max(max(example.tokens["entropy"].max() for example in examples), 1e-6))


def shade(entropy: float, scale: Callable[[float], float]) -> tuple[str, str]:
    """Colour of a token and of the text on it (black or white, whichever is read better), as hexadecimal."""
    red, green, blue, _ = matplotlib.colormaps[BY_ENTROPY](float(scale(entropy)))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return to_hex((red, green, blue)), "#000000" if luminance > 0.179 else "#ffffff"


def ramp(colours: str) -> list[str]:
    """The scale from its low end to its high one, as hexadecimal."""
    return [to_hex(matplotlib.colormaps[colours](stop / (STOPS - 1))) for stop in range(STOPS)]
