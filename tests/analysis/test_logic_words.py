"""The list of logic words, and which tokens begin one."""

import pytest

from htpo.analysis.logic_words import WordTable, read_logic_words
from htpo.analysis.tokens import build
from htpo.errors import UserError
from tests.analysis.test_tokens import rollouts


def categories(tokens, logic_words):
    response = "".join(tokens)
    columns = rollouts([[0.1] * len(tokens)]).drop_columns(["tokens", "response"])
    table = build(columns.append_column("tokens", [[tokens]]).append_column("response", [[response]]), {})
    found = WordTable(table, logic_words)
    return [found.categories[index] if index >= 0 else None for index in found.category]


def test_every_category_of_the_paper_is_listed():
    shipped = read_logic_words()
    assert {"contrast", "consequence", "cause", "assumption"} <= shipped.keys()
    listed = {word for words in shipped.values() for word in words}
    assert {"however", "hence", "therefore", "since", "because", "suppose", "let"} <= listed
    assert all(isinstance(word, str) and word == word.lower() for word in listed)


def test_a_split_word_counts_once_where_it_begins():
    assert categories([" There", "fore", " x"], read_logic_words()) == ["consequence", None, None]


def test_only_whole_words_count_in_any_case():
    assert categories(["SINCE", " sincere", " letter", " Let"], read_logic_words()) == [
        "cause",
        None,
        None,
        "assumption",
    ]


def test_a_phrase_counts_once_and_only_with_nothing_between_its_words():
    phrases = {"contrast": ["on the other hand"], "cause": ["hand"]}
    assert categories(["On", " the", " other", " hand", " hand"], phrases) == ["contrast", None, None, None, "cause"]
    assert categories(["On", " the", ",", " other", " hand"], phrases) == [None, None, None, None, "cause"]


def test_a_file_adds_categories_and_words(tmp_path):
    path = tmp_path / "more.yaml"
    path.write_text("contrast: [Albeit]\ndoubt: [presumably]\n")
    extended = read_logic_words(path)
    assert "albeit" in extended["contrast"]
    assert "however" in extended["contrast"]
    assert extended["doubt"] == ["presumably"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- however", "is no list of logic words"),
        ("contrast: however", "is no list of logic words"),
        ("contrast: [no]", "False is no word"),
        ("contrast: ['12']", "'12' is no word"),
        ("contrast: [", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, text, message):
    path = tmp_path / "more.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_logic_words(path)
