"""Samples as they are stored: whole, once, judged, the same after a stop, and judged again without a model."""

import json
import os
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from htpo.errors import UserError
from htpo.evaluate import SamplingOptions, collect, judge_again
from htpo.evaluate.generators.vocabulary import Response
from htpo.evaluate.results import TaskSamples, measures
from htpo.evaluate.samples import OF_EPISODES, SampleStore
from htpo.tasks.task import Problems
from htpo.verifiers.verdict import Verdict
from tests.engines.tiny import save_tiny_model
from tests.evaluate.generators.tiny import tiny_generator

SAMPLES = 6
OPTIONS = SamplingOptions(top_p=1.0, max_tokens=8, seed=3)


class FirstLetter:
    """Right when the response starts with the row's letter; its answer is that letter."""

    def __init__(self):
        self.seen = 0

    def judge(self, responses, rows):
        self.seen += len(responses)
        return [
            Verdict(r[:1] == row["letter"], r[:1] or None, None if r else "unparsable")
            for r, row in zip(responses, rows)
        ]

    def close(self):
        pass


class Scripted:
    """A generator that answers in lists of four, and raises after so many lists."""

    def __init__(self, text="a", lists=None, error=KeyboardInterrupt):
        self.text, self.lists, self.error, self.asked = text, lists, error, 0

    def generate(self, task, requests, done):
        wanted = iter([r for r in requests if (r.problem, r.sample) not in done])
        while chunk := list(islice(wanted, 4)):
            if self.lists == 0:
                raise self.error
            self.lists = None if self.lists is None else self.lists - 1
            self.asked += len(chunk)
            yield [Response(r, r.prompt, self.text, len(self.text), True) for r in chunk]


def problems(verifier=None, prompts=("1+1=", "22+2=", "3+3+3="), letters="abc"):
    rows = {"prompt": list(prompts), "letter": list(letters), "row": [2, 5, 9]}
    return Problems("sums", Dataset.from_dict(rows), verifier or FirstLetter(), "three sums")


def test_samples_are_stored_with_their_verdicts_in_one_file_at_the_end(tmp_path):
    store = SampleStore(tmp_path / "sums")
    assert collect(problems(), Scripted(), store, SAMPLES) == 0
    assert [file.name for file in store.folder.iterdir()] == ["samples.parquet"]
    rows = pq.read_table(store.folder / "samples.parquet").to_pylist()
    assert len(rows) == 18
    assert {(row["problem"], row["correct"]) for row in rows} == {(2, True), (5, False), (9, False)}
    assert rows[0] == {
        "problem": 2,
        "sample": 1,
        "prompt": "1+1=",
        "response": "a",
        "tokens": 1,
        "finished": True,
        "correct": True,
        "score": None,
        "extracted": "a",
        "failure": None,
        "vote": None,
        "reasoning": None,
        **dict.fromkeys(OF_EPISODES),
    }


def test_a_stopped_collection_goes_on_where_it_was(tmp_path):
    store, verifier = SampleStore(tmp_path / "sums"), FirstLetter()
    with pytest.raises(KeyboardInterrupt):
        collect(problems(verifier), Scripted(lists=2), store, SAMPLES)
    assert len(store.done()) == 8
    rest = Scripted()
    assert collect(problems(verifier), rest, store, SAMPLES) == 0
    assert rest.asked == 10
    assert verifier.seen == store.measured().num_rows == 18
    again = Scripted()
    assert collect(problems(verifier), again, store, SAMPLES) == again.asked == 0


def test_what_cannot_be_judged_now_is_stored_and_judged_later(tmp_path):
    class Broken(FirstLetter):
        def judge(self, responses, rows):
            raise UserError("the verifier is broken")

    store = SampleStore(tmp_path / "sums")
    with pytest.raises(UserError, match="broken"):
        collect(problems(Broken()), Scripted(), store, SAMPLES)
    assert len(store.done()) == 4
    assert store.measured()["correct"].null_count == 4
    rest = Scripted()
    assert collect(problems(), rest, store, SAMPLES) == 0
    assert rest.asked == 14
    assert store.measured()["correct"].null_count == 0
    assert sum(map(len, store.rows())) == 18


def test_half_written_and_doubled_files_do_no_harm(tmp_path):
    store = SampleStore(tmp_path / "sums")
    with pytest.raises(KeyboardInterrupt):
        collect(problems(), Scripted(lists=2), store, SAMPLES)
    part = next(store.folder.glob("*.parquet"))
    (store.folder / ".0123abcd").write_bytes(part.read_bytes()[:100])
    (store.folder / "part-copy.parquet").write_bytes(part.read_bytes())
    assert len(store.done()) == store.measured().num_rows == 8
    assert collect(problems(), Scripted(), store, SAMPLES) == 0
    assert store.measured().num_rows == 18


def test_a_file_that_was_damaged_is_named(tmp_path):
    store = SampleStore(tmp_path)
    (tmp_path / "part-1.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match=r"part-1.parquet cannot be read"):
        store.done()
    pq.write_table(pa.table({"problem": [1]}), tmp_path / "part-1.parquet")
    with pytest.raises(UserError, match=r"part-1.parquet cannot be read"):
        store.done()


def test_text_that_is_no_text_can_be_stored(tmp_path):
    store = SampleStore(tmp_path / "sums")
    assert collect(problems(), Scripted(text="\ud800 a\x00"), store, SAMPLES) == 0
    assert pq.read_table(store.folder)["response"][0].as_py() == "? a\x00"


def test_a_full_disk_leaves_nothing_half_done(tmp_path, monkeypatch):
    store = SampleStore(tmp_path / "sums")

    def full(*arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("htpo.evaluate.samples.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        collect(problems(), Scripted(), store, SAMPLES)
    assert list(store.folder.iterdir()) == []


def test_responses_the_server_never_gave_are_counted(tmp_path):
    class Forgetful(Scripted):
        def generate(self, task, requests, done):
            return super().generate(task, requests[:-3], done)

    assert collect(problems(), Forgetful(), SampleStore(tmp_path / "sums"), SAMPLES) == 3


def test_stored_responses_are_judged_again_by_another_verifier(tmp_path):
    old, new = SampleStore(tmp_path / "old"), SampleStore(tmp_path / "new")
    collect(problems(), Scripted(text="b"), old, SAMPLES)
    judge_again(problems(letters="bbx"), old, new)
    assert new.measured()["correct"].to_pylist() == [True] * 12 + [False] * 6
    assert old.measured()["correct"].to_pylist() == [False] * 6 + [True] * 6 + [False] * 6
    with pytest.raises(UserError, match="problem 5 of sums is not the one that was answered"):
        judge_again(problems(prompts=("1+1=", "0+0=", "3+3+3=")), old, SampleStore(tmp_path / "third"))


class Stopping:
    """Lets so many lists of another generator through."""

    def __init__(self, inner, lists):
        self.inner, self.lists = inner, lists

    def generate(self, task, requests, done):
        for count, came in enumerate(self.inner.generate(task, requests, done)):
            if count == self.lists:
                raise KeyboardInterrupt
            yield came


def contents(store):
    return sorted((r["problem"], r["sample"], r["response"], r["tokens"]) for rows in store.rows() for r in rows)


def test_transformers_draw_after_a_stop_what_they_would_have_drawn(tmp_path, tiny_model):
    whole, stopped = SampleStore(tmp_path / "whole"), SampleStore(tmp_path / "stopped")
    collect(problems(), tiny_generator(tiny_model, OPTIONS, batch_size=4), whole, SAMPLES)
    with pytest.raises(KeyboardInterrupt):
        collect(problems(), Stopping(tiny_generator(tiny_model, OPTIONS, batch_size=4), 2), stopped, SAMPLES)
    collect(problems(), tiny_generator(tiny_model, OPTIONS, batch_size=4), stopped, SAMPLES)
    assert contents(stopped) == contents(whole)
    assert len({response for *_, response, _ in contents(whole)}) > 10


def test_a_tokenizer_s_end_that_the_generation_config_lacks_ends_responses(tmp_path):
    found = []
    for folder, ends in (("all", [1, 10]), ("some", [10])):  # the tokenizer ends at <eos>, 1
        path = save_tiny_model(tmp_path / folder)
        config = Path(path) / "generation_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"eos_token_id": ends}))
        options = SamplingOptions(temperature=1.0, top_p=1.0, max_tokens=300, seed=3)
        store = SampleStore(tmp_path / f"samples-{folder}")
        collect(problems(), tiny_generator(path, options), store, 16)
        found.append(measures(TaskSamples.from_table(store.measured())))
    assert not any("7" in row["response"] for rows in store.rows() for row in rows)  # 10 is no special token
    assert found[0]["truncated"]["value"] == 0
    assert found[0]["avg"]["value"] > 0
    assert found[0] == found[1]


def test_a_verifier_sees_the_prompt_as_the_model_got_it(tmp_path):
    class Seeing(FirstLetter):
        def judge(self, responses, rows):
            return [Verdict(row["sent"] == row["prompt"]) for row in rows]

    store = SampleStore(tmp_path / "sums")
    collect(problems(Seeing()), Scripted(), store, SAMPLES)
    assert store.measured()["correct"].to_pylist() == [True] * 18


def test_samples_of_an_earlier_version_can_be_read(tmp_path):
    store = SampleStore(tmp_path / "sums")
    collect(problems(), Scripted(), store, SAMPLES)
    file = store.folder / "samples.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["vote", "reasoning"]), file)
    assert store.measured()["vote"].null_count == 18
    assert [row["reasoning"] for rows in store.rows() for row in rows] == [None] * 18
    assert store.only_reasoning() == 0


def test_responses_beyond_the_model_s_context_are_said(tiny_model):
    made = tiny_generator(tiny_model, OPTIONS, batch_size=4)  # at most 8 tokens each
    made.model.config.max_position_embeddings = 13
    assert made.beyond_context(["1+1=", "11+1="]) is None
    assert "prompts of up to 6 tokens and --max_tokens 8 go beyond the 13" in made.beyond_context(["1+1=", "11+11="])
