"""Logic words (however, therefore, because, suppose, ...): the list, and the tokens that begin one."""

from importlib import resources
from pathlib import Path

import numpy as np
import yaml

from htpo.analysis.token_text import words
from htpo.analysis.tokens import TokenTable
from htpo.errors import UserError
from htpo.yaml_file import read_yaml

LogicWords = dict[str, list[str]]  # category -> words and phrases, in lower case


def read_logic_words(extension: Path | None = None) -> LogicWords:
    """The shipped list (`logic_words.yaml`), and what a file of the same form adds to it.

    Raises:
        UserError: the file cannot be read or is not a mapping of categories to lists of words.
    """
    shipped = yaml.safe_load(resources.files("htpo.analysis").joinpath("logic_words.yaml").read_text(encoding="utf-8"))
    if extension is None:
        return shipped
    added = read_yaml(extension)
    if not isinstance(added, dict) or not all(isinstance(listed, list) for listed in added.values()):
        raise UserError(f"{extension} is no list of logic words: write `category: [word, word]`, yes, no, on quoted")
    for category, listed in added.items():
        for word in listed:
            if not isinstance(word, str) or not list(words([word])):
                raise UserError(f"{extension}, {category}: {word!r} is no word: write letters; quote yes, no, on")
        known = shipped.setdefault(str(category), [])
        known += [word.lower() for word in listed if word.lower() not in known]
    return shipped


class WordTable:
    """Which tokens begin a word, and of which category of logic words.

    A word that is split over several tokens belongs to the token with its first letter: there it was chosen, and what
    follows mostly completes it. The other tokens begin no word. A token that holds several words begins a logic word
    when one of them is.
    """

    def __init__(self, table: TokenTable, logic_words: LogicWords):
        self.categories = list(logic_words)
        phrases = _by_first_word(logic_words)
        count = len(table.tokens)
        self.begins_word = np.zeros(count, dtype=bool)
        self.category = np.full(count, -1, dtype=np.int16)  # index into `categories`, -1 for none
        texts = table.tokens["text"].tolist()
        stop = 0
        for length, response in zip(table.responses["tokens"], table.responses["response"]):
            start, stop = stop, stop + length
            found = list(words(texts[start:stop], len(response)))
            skip = 0
            for place, (token, word, _) in enumerate(found):
                self.begins_word[start + token] = True
                if skip:
                    skip -= 1
                    continue
                for phrase, category in phrases.get(_plain(word), ()):
                    if _matches(phrase, found[place : place + len(phrase)]):
                        self.category[start + token] = category
                        skip = len(phrase) - 1
                        break

    @property
    def is_logic(self) -> np.ndarray:
        """(tokens,) bool: begins a logic word."""
        return self.category >= 0


def _by_first_word(logic_words: LogicWords) -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """First word -> (phrase, category index), longest phrases first; the first category that lists a phrase has it."""
    found: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for index, listed in enumerate(logic_words.values()):
        for entry in listed:
            phrase = tuple(_plain(word) for _, word, _ in words([entry]))
            found.setdefault(phrase[0], []).append((phrase, index))
    return {first: sorted(phrases, key=lambda known: -len(known[0])) for first, phrases in found.items()}


def _plain(word: str) -> str:
    return word.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _matches(phrase: tuple[str, ...], found: list[tuple[int, str, bool]]) -> bool:
    return len(found) == len(phrase) and all(
        _plain(word) == wanted and (joined or not place)
        for place, (wanted, (_, word, joined)) in enumerate(zip(phrase, found))
    )
