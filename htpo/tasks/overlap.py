"""Which prompts of one dataset are also in another: the same after normalisation, or nearly so by shared n-grams."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

N = 8  # words in an n-gram; all of a shorter text is one
NEAR = 0.5  # from this share of the shorter text's n-grams on, two texts are near
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Overlap:
    """Two prompts that are alike: their places in the two lists, and how much of the shorter stands in the longer."""

    first: int
    second: int
    share: float  # of the n-grams of the text that has fewer

    @property
    def exact(self) -> bool:
        """Whether they have the same words in the same order."""
        return self.share == 1.0


def words(text: str) -> tuple[str, ...]:
    """Words and numbers of a text in lower case; LaTeX's commands are words, its punctuation is dropped."""
    return tuple(WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def ngrams(text: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The distinct n-grams of a text; a shorter text is one n-gram."""
    return {text[start : start + N] for start in range(max(1, len(text) - N + 1))} if text else set()


def find_overlaps(first: Sequence[str], second: Sequence[str]) -> list[Overlap]:
    """Pairs that are alike, the most alike of `second` for each of `first`, in the order of `first`.

    `share` is 1 for the same words in the same order, and below it otherwise, even where one text holds the other.
    """
    texts = [words(text) for text in second]
    same: dict[tuple[str, ...], int] = {}
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = []
    for place, text in enumerate(texts):
        same.setdefault(text, place)
        grams = ngrams(text)
        sizes.append(len(grams))
        for gram in grams:
            holders[gram].append(place)
    found = []
    for place, text in enumerate(map(words, first)):
        if text in same:
            found.append(Overlap(place, same[text], 1.0))
            continue
        grams = ngrams(text)
        shared = Counter(holder for gram in grams for holder in holders.get(gram, ()))
        alike = {other: count / min(len(grams), sizes[other]) for other, count in shared.items()}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is not None and alike[best] >= NEAR:
            found.append(Overlap(place, best, min(alike[best], 0.999)))
    return found
