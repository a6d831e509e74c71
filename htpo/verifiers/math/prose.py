r"""Telling a sentence or a solution from a final answer: pure functions of text."""

import re

from htpo.verifiers.math.text import clean

MOST_WORDS_BESIDE_MATHEMATICS = 12
WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname)[a-z]*(?=\s*\{)")
MATHEMATICS = re.compile(r"\d|[=<>^]|\\[a-zA-Z]")
# Words of somebody who argues; no final answer has one.
ARGUMENT = re.compile(
    r"(?<![\\a-zA-Z])(?:we|so|therefore|thus|hence|since|because|let|then|now|also|finally|means|obtain|follows|implies|gives"
    r"|simplif(?:y|ies)|evaluate|compute|find|solve|determine|express|write|factor|substituting|plugging|using|convert|round|makes|yields|what|how"
    r"|the answer is|our answer)(?![a-zA-Z])",
    re.IGNORECASE,
)
VERB = re.compile(
    r"(?<![\\a-zA-Z])(?:is|are|was|were|has|have|had|can|cannot|will|does|did|equals?|measures|costs?)(?![a-zA-Z])"
)
# `k \pi, where k is an integer` is an answer with its condition.
CONDITION = re.compile(r"(?<![\\a-zA-Z])(?:where|for|if|when|with|such that|otherwise)(?![a-zA-Z])")


def is_prose(gold: str) -> bool:
    """Whether a gold is a sentence about numbers or a solution, which no final answer can be compared with.

    Words alone are none: `Petya wins the game` can be an answer.
    """
    text = TEXT_COMMAND.sub(" ", clean(gold))
    words = WORD.findall(text)
    if not words or not MATHEMATICS.search(text):
        return False
    if ARGUMENT.search(text) or len(words) > MOST_WORDS_BESIDE_MATHEMATICS:
        return True
    verb = VERB.search(text)
    if verb is None or CONDITION.search(text, 0, verb.start()):
        return False
    return len(words) >= 4 or len(WORD.findall(text, 0, verb.start())) >= 2
