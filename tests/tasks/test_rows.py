"""Reading rows: every format gives the same rows, and what cannot be used is named by file and row."""

import json
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet

from htpo.errors import UserError
from htpo.tasks.options import DataOptions
from htpo.tasks.rows import RawRows, answer_text, choose_column, examples
from htpo.tasks.selection import find_source
from htpo.tasks.sources.hub import Hub
from tests.tasks.data import write_rows

ROWS = [{"problem": f"What is {n} + 1?", "answer": str(n + 1), "source": "made up"} for n in range(5)]


def write_parquet(path, columns):
    parquet.write_table(pyarrow.table(columns), path)
    return str(path)


def read(path) -> RawRows:
    return find_source(str(path), DataOptions()).read()


def load(path, prompt_column="problem", answer_column="answer"):
    """The usable rows of a file; raises for the others."""
    raw = read(path)
    prompt = choose_column(raw, "prompt_column", [prompt_column])
    answer = choose_column(raw, "answer_column", [answer_column])
    usable = examples(raw, prompt, lambda row, _: {"answer": answer_text(row, answer)})
    raw.raise_defects()
    return usable


def gold(path, *columns):
    """The gold answer of a file's first row."""
    return load(path, *columns)[0].fields["answer"]


def refusal(path, *columns):
    with pytest.raises(UserError) as caught:
        load(path, *columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_three_file_types_and_a_folder_of_the_hub_give_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub"
    folder.mkdir()
    write_parquet(folder / "train.parquet", {name: [row[name] for row in ROWS] for name in ROWS[0]})
    lines = write_rows(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=1))
    usable = load(lines)
    assert [(example.row, example.prompt, example.fields["answer"]) for example in usable] == [
        (n + 1, f"What is {n} + 1?", str(n + 1)) for n in range(5)
    ]
    assert load(tmp_path / "a.json") == load(folder / "train.parquet") == load(folder) == usable


def test_every_column_is_kept_for_verifiers_that_read_more_than_an_answer(tmp_path):
    for path in (
        write_rows(tmp_path / "a.jsonl", ROWS),
        write_parquet(tmp_path / "a.parquet", {name: [row[name] for row in ROWS] for name in ROWS[0]}),
    ):
        raw = read(path)
        assert sorted(raw.columns) == ["answer", "problem", "source"]
        assert [row for _, row in raw.rows] == ROWS


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_rows(tmp_path / "a.jsonl", ROWS)
    assert len(load("~/a.jsonl")) == 5


def test_row_numbers_of_json_lines_are_line_numbers_and_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode() + b"\r\n\n  \n" + json.dumps(ROWS[1]).encode())
    assert [example.row for example in load(path)] == [1, 4]


def test_a_line_separator_inside_a_text_does_not_end_a_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"problem": "a\u2028b\x85c", "answer": "1"}, ensure_ascii=False), encoding="utf-8")
    assert load(path)[0].prompt == "a\u2028b\x85c"


def test_dots_in_a_column_reach_into_objects_but_a_column_of_that_name_comes_first(tmp_path):
    rows = [{"problem": "p", "reward_model": {"ground_truth": "34", "style": "rule"}}]
    assert gold(write_rows(tmp_path / "a.jsonl", rows), "problem", "reward_model.ground_truth") == "34"
    nested = {"problem": ["p"], "reward_model": [{"ground_truth": "34"}]}
    assert gold(write_parquet(tmp_path / "a.parquet", nested), "problem", "reward_model.ground_truth") == "34"
    rows = [{"problem": "p", "a.b": "1", "a": {"b": "2"}}]
    assert gold(write_rows(tmp_path / "b.jsonl", rows), "problem", "a.b") == "1"


def test_a_dotted_column_that_leads_nowhere_is_named(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"problem": "p", "answer": {"value": "1"}}])
    assert "line 1: the gold answer (column 'answer.text') is missing" in refusal(path, "problem", "answer.text")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (18, "18"),
        (-3, "-3"),
        (2.5, "2.5"),
        (1e20, "100000000000000000000"),
        (1e-7, "0.0000001"),
        (" 7 ", " 7 "),
        (10**400, "1" + "0" * 400),
    ],
)
def test_numbers_become_text_without_an_exponent(tmp_path, answer, text):
    assert gold(write_rows(tmp_path / "a.jsonl", [{"problem": "p", "answer": answer}])) == text


def test_a_list_of_texts_is_one_answer_with_commas(tmp_path):
    assert gold(write_rows(tmp_path / "a.jsonl", [{"problem": "p", "answer": ["1", "2"]}])) == "1, 2"


def test_a_prompt_of_a_megabyte_is_refused(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"problem": "p" * 1_000_001, "answer": "1"}])
    assert "line 1: the prompt (column 'problem') has 1,000,001 characters, more than 1,000,000" in refusal(path)


def test_decimals_of_a_parquet_file_are_numbers(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"problem": ["p"], "answer": [Decimal("1.50")]})
    assert gold(path) == "1.50"


def test_chat_messages_keep_role_and_content_only(tmp_path):
    messages = [
        {"role": "system", "content": "Be brief.", "name": "x"},
        {"role": "user", "content": "1 + 1?", "name": None},
    ]
    for path in (
        write_rows(tmp_path / "a.jsonl", [{"problem": messages, "answer": "2"}]),
        write_parquet(tmp_path / "a.parquet", {"problem": [messages], "answer": ["2"]}),
    ):
        assert load(path)[0].prompt == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1 + 1?"},
        ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"answer": "1"}, "the prompt (column 'problem') is missing"),
        ({"problem": None, "answer": "1"}, "the prompt (column 'problem') is missing"),
        ({"problem": 5, "answer": "1"}, "the prompt (column 'problem') is a number; it must be text or a list of chat"),
        ({"problem": {"text": "p"}, "answer": "1"}, "the prompt (column 'problem') is an object; it must be text"),
        ({"problem": ["p"], "answer": "1"}, "a chat message of the prompt (column 'problem') must have a 'role'"),
        ({"problem": [{"role": "user"}], "answer": "1"}, "a chat message of the prompt (column 'problem') must have"),
        (
            {"problem": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "1"}], "answer": "1"},
            "the prompt (column 'problem') ends with the assistant's message",
        ),
        ({"problem": "", "answer": "1"}, "the prompt (column 'problem') is empty"),
        ({"problem": " \n\t", "answer": "1"}, "the prompt (column 'problem') is empty"),
        ({"problem": [], "answer": "1"}, "the prompt (column 'problem') is empty"),
        ({"problem": [{"role": "user", "content": " "}], "answer": "1"}, "the prompt (column 'problem') is empty"),
        ({"problem": "p"}, "the gold answer (column 'answer') is missing"),
        ({"problem": "p", "answer": None}, "the gold answer (column 'answer') is missing"),
        ({"problem": "p", "answer": ""}, "the gold answer (column 'answer') is empty"),
        ({"problem": "p", "answer": "  "}, "the gold answer (column 'answer') is empty"),
        (
            {"problem": "p", "answer": ["1", 2]},
            "the gold answer (column 'answer') is a list; it must be text or a number",
        ),
        ({"problem": "p", "answer": True}, "the gold answer (column 'answer') is true or false; it must be text or a"),
        ({"problem": "p", "answer": float("nan")}, "the gold answer (column 'answer') is nan; it must be finite"),
        ({"problem": "half \ud83e", "answer": "1"}, "the prompt (column 'problem') holds half a Unicode character"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_line(tmp_path, row, problem):
    path = write_rows(tmp_path / "a.jsonl", [*ROWS, row])
    assert refusal(path).startswith(f"{path}: line 6: {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"problem": "p", "answer"', "not JSON (Expecting ':' delimiter"),
        (b"[1, 2]", "a list, not an object"),
        (b'"text"', "text, not an object"),
        (b"\xff\xfe{}", "not UTF-8 text (byte 1)"),
        (b"[" * 100_000, "not JSON (maximum recursion"),
        (b'{"answer": ' + b"1" * 5000 + b"}", "not JSON (Exceeds the limit"),
    ],
)
def test_a_line_that_is_not_an_object_is_named_by_number(tmp_path, line, problem):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(ROWS[0]).encode() + b"\n" + line + b"\n")
    assert refusal(path).startswith(f"{path}: line 2: {problem}")


def test_many_bad_rows_are_counted_and_the_first_ones_listed(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [*ROWS, *[{"problem": "", "answer": ""}] * 9])
    assert refusal(path) == (
        f"{path}: 9 lines cannot be used ("
        + "".join(f"line {number}: the prompt (column 'problem') is empty; " for number in range(6, 11))
        + "and 4 more); fix or remove them, or --skip_bad_rows"
    )


def test_text_beside_chat_messages_is_refused_with_both_rows(tmp_path):
    rows = [ROWS[0], {"problem": [{"role": "user", "content": "p"}], "answer": "1"}]
    message = refusal(write_rows(tmp_path / "a.jsonl", rows))
    assert "line 2: the prompt is chat messages, where line 1 has text" in message


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_missing_column_is_named_with_those_there_are_and_the_option(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".jsonl":
        write_rows(path, [{"question": "p", "label": "1"}])
    else:
        write_parquet(path, {"question": ["p"], "label": ["1"]})
    found = f"{path}: no column 'problem' (found: 'question', 'label'); set --prompt_column"
    assert refusal(path) == found
    assert refusal(path, "question").endswith("set --answer_column")
    assert gold(path, "question", "label") == "1"


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet", "no/such/folder/rows", "./none", "/none/data.csv"])
def test_a_missing_file_is_said_without_asking_the_hub(name, monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("asked the hub"))
    assert f"{name}: no such file" in refusal(name)


def test_an_unknown_file_type_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.csv").write_text("problem,answer\np,1\n")
    assert "unknown file type '.csv'; use .jsonl, .json, .parquet" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.json", "[]")])
def test_an_empty_dataset_is_refused(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert "the dataset is empty" in refusal(tmp_path / name)


def test_an_empty_parquet_file_is_refused(tmp_path):
    empty = pyarrow.array([], pyarrow.string())
    assert "the dataset is empty" in refusal(write_parquet(tmp_path / "a.parquet", {"problem": empty, "answer": empty}))


@pytest.mark.parametrize("kept", [0, 4, 100, -8, -400])
def test_a_parquet_file_cut_short_is_refused(tmp_path, kept):
    path = tmp_path / "a.parquet"
    write_parquet(path, {"problem": [f"problem {n}" for n in range(100)], "answer": ["1"] * 100})
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(path).startswith(f"{path}: not a readable Parquet file (")


def test_a_parquet_file_with_damaged_pages_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, {"problem": [f"problem {n}" for n in range(100)], "answer": ["1"] * 100})
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: not a readable Parquet file (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"problem": "p"}\n{"problem": "q"}', "one object a line belongs in a .jsonl file"),
        ('[{"problem": "p", ', "not JSON ("),
        ('{"data": []}', "holds an object; it must be a list of objects"),
        ("[1]", "row 1: a number, not an object"),
    ],
)
def test_a_json_file_that_is_no_list_of_objects_is_refused(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    assert message in refusal(tmp_path / "a.json")


def test_a_hub_that_does_not_answer_gives_one_line_with_the_remedy(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("Couldn't reach 'org/data' on the Hub\nRetry later\n")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    message = refusal("org/data")
    assert message.startswith("cannot load split 'train' of the Hugging Face dataset 'org/data': Couldn't reach")
    assert "give the path of a .jsonl or .parquet file" in message


def test_the_split_and_configuration_reach_the_hub(monkeypatch):
    from datasets import Dataset

    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        return Dataset.from_list(ROWS)

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    raw = Hub("org/data", "data", "org/data", split="validation", config="main").read()
    assert asked == [(("org/data", "main"), {"split": "validation"})]
    assert raw.columns == ["problem", "answer", "source"]
    assert raw.rows[0] == (1, {"problem": "What is 0 + 1?", "answer": "1", "source": "made up"})


def test_rows_without_defects_raise_nothing():
    RawRows("a", "row", [], []).raise_defects()
