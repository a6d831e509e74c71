"""The text of tokens: the spaces that single-token decoding loses, what is shown of unprintable ones, and words."""

import re
from collections.abc import Iterator, Sequence

UNDECODED_SPACE = re.compile("^[Ġ▁]+")  # how byte-level BPE and SentencePiece vocabularies write a leading space
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
SPACE = re.compile(r"\s*")
RESYNC = 12  # characters that undecodable bytes may stand for
SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍", " ": "␣"}


def restore_spaces(tokens: Sequence[str], response: str) -> list[str]:
    """Token texts that join to the response, where that is possible.

    Some tokenizers drop a token's leading space when it is decoded alone; it is taken back from the response. Special
    tokens, which the response lacks, stay as they are.
    """
    tokens = [UNDECODED_SPACE.sub(lambda marks: " " * len(marks.group()), token) for token in tokens]
    if "".join(tokens).startswith(response):
        return tokens
    placed, cursor, lost = [], 0, False
    for token in tokens:
        if "\ufffd" in token:  # a part of a character
            placed.append(token)
            lost = True
            continue
        if lost:
            found = response.find(token, cursor, cursor + RESYNC + len(token))
            cursor = found if found >= 0 else cursor
        after_space = SPACE.match(response, cursor).end()
        if not response.startswith(token, cursor) and response.startswith(token, after_space):
            token = response[cursor:after_space] + token
        if response.startswith(token, cursor):
            cursor += len(token)
            lost = False
        placed.append(token)
    return placed


def words(tokens: Sequence[str], length: int | None = None) -> Iterator[tuple[int, str, bool]]:
    """Whole words of the text that tokens join to: (index of the token with the word's first letter, word, joined).

    With `length`, of that many characters: special tokens that follow the response are no words of it.

    A word is a run of letters, apostrophes inside it included. `joined` says that nothing but white space stands
    between it and the word before.
    """
    text = "".join(tokens)[:length]
    ends, end = [], 0
    for token in tokens:
        end += len(token)
        ends.append(end)
    index, last = 0, 0
    for match in WORD.finditer(text):
        while ends[index] <= match.start():
            index += 1
        yield index, match.group(), not text[last : match.start()].strip()
        last = match.end()


def visible(token: str) -> str:
    """A token's text with white space and unprintable characters as signs; never empty."""
    shown = "".join(
        SIGNS.get(c, c) if c.isspace() and c != " " else c if c.isprintable() else f"\\u{ord(c):04x}" for c in token
    )
    if not shown.strip():
        return "".join(SIGNS.get(c, c) for c in shown) or "∅"
    return shown
