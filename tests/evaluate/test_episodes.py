"""Episodes as samples: played by a server's policy that is known by hand, and by a small model of transformers."""

import json

import pytest
from transformers import AutoModelForCausalLM

from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.evaluate import SamplingOptions, collect
from htpo.evaluate.comparison import compare
from htpo.evaluate.episodes import load_environment_problems
from htpo.evaluate.generators.loading import load_tokenizer
from htpo.evaluate.generators.model import ModelGenerator
from htpo.evaluate.generators.sampling import sample_batch, sampling_settings
from htpo.evaluate.generators.server import ServerGenerator
from htpo.evaluate.results import TaskSamples, measures
from htpo.evaluate.samples import LATER, OF_EPISODES, SCHEMA, SampleStore
from htpo.evaluate.tables import result_tables
from htpo.playing.options import PlayOptions
from tests.evaluate.generators.servers import Misbehaviour, Server, chat_answer, interrupt_after_the_first, running
from tests.evaluate.worlds import FOUND, TURNS, TYPES, next_action

PATH = "tests.evaluate.worlds:Path"
EVEN_LENGTH = "tests.engines.trl.worlds:EvenLength"


def environment(label=PATH, told="verl_agent", count=None, **play):
    play = {"max_turn_length": 8} | play
    return load_environment_problems(label, PlayOptions(**play), told, {}, count, seed=0)


def by_messages(body):
    said = [message["content"] for message in body["messages"]]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * (len(said) // 2) + ["user"]
    told = "".join(said[::2])
    return chat_answer(f"<think>step 9?</think><action>{next_action(told)}</action>", tokens=3)


def by_text(body):
    return {"choices": [{"text": f" {next_action(body['prompt'])}", "finish_reason": "stop"}]}


def collected(tmp_path, problems, server, samples=2, **options):
    store = SampleStore(tmp_path / "samples")
    options = {"first_wait": 0.01, "retries": 1} | options
    made = ServerGenerator("served", server.url, SamplingOptions(max_tokens=200, seed=5), **options)
    return store, collect(problems, made, store, samples)


def check_by_hand(store, turn_tokens):
    rows = [row for rows in store.rows() for row in rows]
    assert sorted((row["problem"], row["sample"]) for row in rows) == [(p, s) for p in FOUND for s in (1, 2)]
    for row in rows:
        success, score, steps, invalid, at_limit, failure = FOUND[row["problem"]]
        assert (row["correct"], row["score"], row["failure"]) == (success, pytest.approx(score), failure)
        assert (len(row["actions"]), sum(row["invalid"]), row["step_limit"]) == (steps, invalid, at_limit)
        assert (row["task_type"], row["finished"]) == (TYPES[row["problem"]], True)
        turns = TURNS[row["problem"]]
        assert row["actions"] == turns[: len(row["actions"])], "the one that broke the environment is no action"
        assert [turns[place] in text for place, text in enumerate(row["written"])] == [True] * len(turns)
        assert row["turn_tokens"] == [turn_tokens] * len(turns)
        assert row["cut_off"] == [False] * len(turns)
        assert f"path {row['problem']}" in row["prompt"]
        assert len(row["shown"]) == len(turns) - 1
        assert all("step" in text for text in row["shown"])
        assert row["last_shown"] == (None if failure else f"step {turns.count('go')}")


def test_episodes_by_messages_are_stored_turn_by_turn_as_they_are_known_by_hand(tmp_path):
    with running(Server(by_messages)) as server:
        store, missing = collected(tmp_path, environment(), server)
    assert missing == 0
    check_by_hand(store, turn_tokens=3)
    assert {body["max_tokens"] for body in server.bodies} == {8}
    assert len({body["seed"] for body in server.bodies}) == len(server.bodies), "each turn has a seed of its own"
    row = next(row for rows in store.rows() for row in rows if row["problem"] == 2)
    assert row["written"][0] == "<think>step 9?</think><action>jump</action>"
    assert "none that is admissible" in row["shown"][0]
    assert row["tokens"] == 12


def test_episodes_in_text_go_to_completions_as_one_text(tmp_path):
    with running(Server(by_text)) as server:
        store, _ = collected(tmp_path, environment(told="compact"), server, chat=False)
    check_by_hand(store, turn_tokens=None)
    assert set(server.paths) == {"/v1/completions"}
    assert "path 2 > jump step 0 > go step 1 > go step 2 >" in {body["prompt"] for body in server.bodies}
    assert store.measured()["tokens"].null_count == 10


def test_the_measures_of_episodes_are_those_known_by_hand(tmp_path):
    with running(Server(by_messages)) as server:
        store, _ = collected(tmp_path, environment(), server)
    samples = TaskSamples.from_table(store.measured())
    found = measures(samples)
    assert found["avg"]["value"] == pytest.approx(2 / 5)
    assert found["pass_at_k"]["value"] == pytest.approx([2 / 5] * 2)
    assert found["maj_at_k"] is None
    assert found["mean_score"]["value"] == pytest.approx((2 + 2 / 3) / 5)
    assert found["failures"] == {"crash": 2}
    of_episodes = found["episodes"]
    assert of_episodes["steps"]["value"] == pytest.approx(18 / 5)
    assert of_episodes["invalid_actions"]["value"] == pytest.approx(4 / 5)
    assert of_episodes["step_limit"]["value"] == pytest.approx(2 / 5)
    plain, late = of_episodes["by_task_type"]["plain"], of_episodes["by_task_type"]["late"]
    assert list(of_episodes["by_task_type"]) == ["late", "plain"]
    assert (plain["problems"], plain["avg"]["value"], late["problems"], late["avg"]["value"]) == (2, 1.0, 3, 0.0)
    assert (plain["steps"]["value"], plain["invalid_actions"]["value"]) == (3.5, 0.5)
    assert late["mean_score"]["value"] == pytest.approx(2 / 9)
    assert late["pass_at_n"]["value"] == 0
    assert late["avg"]["high"] > late["avg"]["low"] == 0
    (table, _), (types, _) = result_tables({"paths": found})
    assert table[0][2:] == ["success", "score", "pass@2", "steps", "invalid", "step limit", "given up"]
    assert [row[0] for row in types[1]] == ["late", "plain"]
    rows = compare({"paths": samples}, {"paths": samples})
    assert {row["measure"]: row["value"] for row in rows} == {"avg": 0, "pass@2": 0, "score": 0}


def test_an_episode_that_the_server_leaves_is_missing_and_played_anew_later(tmp_path):
    def drop(number, body):
        return Misbehaviour.status(500) if "path 3" in str(body) and len(body["messages"]) == 3 else None

    with running(Server(by_messages, drop)) as server:
        store, missing = collected(tmp_path, environment(), server, samples=2, retries=0)
    assert missing == 2
    assert {problem for problem, _ in store.done()} == {1, 2, 4, 5}
    with running(Server(by_messages)) as server:
        store, missing = collected(tmp_path, environment(), server)
    assert missing == 0
    assert {len(body["messages"]) for body in server.bodies} == {1, 3, 5, 7, 9}, "from its beginning"
    check_by_hand(store, turn_tokens=3)


def going(prompt_tokens=None):
    """Goes on whatever it is told, and says how long that was: 10 tokens a message."""

    def answer(body):
        reply = chat_answer("<think></think><action>wait</action>", tokens=10)
        if prompt_tokens:
            reply["usage"] |= {"prompt_tokens": prompt_tokens(body)}
        return reply

    return answer


def of_problem_1(tmp_path, server, **play):
    store, missing = collected(tmp_path, environment(**play), server, samples=1)
    assert missing == 0
    rows = {row["problem"]: row for rows in store.rows() for row in rows}
    sizes = [len(body["messages"]) for body in server.bodies if "path 1" in body["messages"][0]["content"]]
    return rows[1], sizes, store


def test_the_oldest_turns_of_an_episode_leave_where_the_server_refuses_its_context(tmp_path):
    refusal = Misbehaviour.status(400, text='{"message": "maximum context length is 40 tokens"}')
    with running(Server(going(), lambda n, body: refusal if len(body["messages"]) > 5 else None)) as server:
        row, sizes, store = of_problem_1(tmp_path, server)
    assert sizes == [1, 3, 5, 7, 5, 7, 5]
    assert (row["forgotten"], row["finished"], row["step_limit"]) == ([0, 0, 0, 1, 2], True, True)
    assert len(row["written"]) == len(row["shown"]) + 1 == 5, "all turns are stored"
    found = measures(TaskSamples.from_table(store.measured()))
    assert found["truncated"]["value"] == 0
    assert found["episodes"]["shortened"]["value"] == 1
    for body in server.bodies:
        assert [message["role"] for message in body["messages"]][::2] == ["user"] * (len(body["messages"]) // 2 + 1)


def test_an_episode_of_which_the_server_refuses_the_last_turn_alone_is_given_up(tmp_path):
    refusal = Misbehaviour.status(400, text='{"message": "maximum context length is 40 tokens"}')
    with running(Server(going(), lambda n, body: refusal if len(body["messages"]) > 1 else None)) as server:
        row, sizes, store = of_problem_1(tmp_path, server)
    assert sizes == [1, 3]
    assert (row["forgotten"], row["finished"], row["failure"], row["correct"]) == ([0], False, "truncated", False)
    found = measures(TaskSamples.from_table(store.measured()))
    assert found["truncated"]["value"] == 1
    assert found["episodes"]["shortened"]["value"] == 0


def test_a_history_length_bounds_what_is_sent(tmp_path):
    with running(Server(going())) as server:
        row, sizes, _ = of_problem_1(tmp_path, server, history_length=2)
    assert sizes == [1, 3, 5, 5, 5]
    assert row["forgotten"] == [0, 0, 0, 1, 2]


def test_interrupting_keeps_the_episodes_that_have_ended(tmp_path, monkeypatch):
    interrupt_after_the_first(monkeypatch)
    with running(Server(by_messages)) as server, pytest.raises(KeyboardInterrupt):
        collected(tmp_path, environment(), server, concurrency=1)
    kept = [row for rows in SampleStore(tmp_path / "samples").rows() for row in rows]
    assert kept
    assert all(len(row["written"]) == len(TURNS[row["problem"]]) for row in kept), "whole episodes"
    monkeypatch.undo()
    with running(Server(by_messages)) as server:
        store, missing = collected(tmp_path, environment(), server)
    assert missing == 0
    check_by_hand(store, turn_tokens=3)


def test_a_prompt_that_the_server_refuses_ends_the_evaluation(tmp_path):
    refusal = Misbehaviour.status(400, text="maximum context length is 4 tokens")
    with running(Server(by_messages, lambda n, body: refusal)) as server, pytest.raises(UserError, match="is 4 tokens"):
        collected(tmp_path, environment(), server)


def test_the_oldest_turns_leave_when_the_server_says_that_an_episode_is_long(tmp_path):
    said = {1: 100, 3: 200, 5: 300}  # by messages: a turn and what it led to have 100 tokens, 10 of them the turn
    with running(Server(going(lambda body: said[len(body["messages"])]))) as server:
        row, sizes, _ = of_problem_1(tmp_path, server, max_turns=8)
    # --max_tokens is 200, of which the next turn may have 8. What the last turn led to is known when it has been sent:
    # before the third turn 110 tokens are known to stand after the prompt, before the fourth 210 but for the oldest
    assert sizes == [1, 3, 5, 5, 5, 5, 5, 5]
    assert row["forgotten"] == [0, 0, 0, 1, 2, 3, 4, 5]


def tiny(tiny_model, batch_size=4, **sampling):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    options = SamplingOptions(**({"max_tokens": 120, "seed": 3, "top_p": 1.0} | sampling))
    return ModelGenerator(model, load_tokenizer(tiny_model), options, batch_size=batch_size)


def test_what_a_model_played_is_what_its_actions_lead_to(tmp_path, tiny_model):
    store = SampleStore(tmp_path)
    assert collect(environment(EVEN_LENGTH, "compact", 3, max_turn_length=5), tiny(tiny_model), store, 4) == 0
    rows = [row for rows in store.rows() for row in rows]
    assert len(rows) == 12
    assert 0 < sum(row["correct"] for row in rows) < 12
    with EnvironmentWorkers(EVEN_LENGTH, workers=1) as worlds:
        for row in rows:
            (episode,) = worlds.reset([{"number": row["problem"] - 1, "task_type": "even"}], [0])
            for action in row["actions"]:
                worlds.step([episode], [action])
            assert (episode.success, episode.score, episode.invalid) == (row["correct"], row["score"], row["invalid"])
            assert row["last_shown"] == episode.observation.text
    for row in rows:
        assert list(row["actions"]) == [" ".join(text.split()) or None for text in row["written"]]
        assert sum(row["turn_tokens"]) == row["tokens"]
        assert max(row["turn_tokens"]) <= 5
        assert row["response"] == "\n".join(row["written"])


def test_a_stopped_evaluation_goes_on_with_whole_episodes_and_draws_the_same(tmp_path, tiny_model):
    problems = environment(EVEN_LENGTH, "compact", 3, max_turn_length=4)
    whole, stopped = SampleStore(tmp_path / "whole"), SampleStore(tmp_path / "stopped")
    collect(problems, tiny(tiny_model), whole, 4)

    class Stops(SampleStore):
        def append(self, rows):
            super().append(rows)
            if len(self.done()) == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(problems, tiny(tiny_model), Stops(stopped.folder), 4)
    assert len(stopped.done()) == 8
    drawn = []
    generator = tiny(tiny_model)
    play = generator.play
    generator.play = lambda *asked: (drawn.extend(played) or played for played in play(*asked))
    assert collect(problems, generator, stopped, 4) == 0
    assert len(drawn) == 4

    def kept(store):
        return sorted(json.dumps(row, sort_keys=True) for rows in store.rows() for row in rows)

    assert kept(stopped) == kept(whole)


@pytest.mark.parametrize(("max_tokens", "history_length"), [(14, None), (120, 1)])
def test_a_model_plays_on_after_the_last_turns_as_they_were_sampled(tmp_path, tiny_model, max_tokens, history_length):
    problems = environment(EVEN_LENGTH, "compact", 4, max_turn_length=4, history_length=history_length)
    generator, played, store = tiny(tiny_model, max_tokens=max_tokens, temperature=0), [], SampleStore(tmp_path)
    play = generator.play
    generator.play = lambda *asked: (played.extend(each) or each for each in play(*asked))
    collect(problems, generator, store, 1)
    settings = sampling_settings(generator.model, generator.tokenizer, SamplingOptions(temperature=0, max_tokens=4))
    for row in [one.row for one in played]:
        assert not row.overflowed
        for number, turn in enumerate(row.turns):
            left = range(row.forgotten[number], number)
            context = row.prompt + [each for place in left for each in row.turns[place].ids + row.shown[place]]
            assert sample_batch(generator.model, generator.tokenizer, [context], settings)[0] == turn.ids
    stored = [row["forgotten"] for rows in store.rows() for row in rows]
    assert [0, 0, 1] in stored
    assert stored == [one.row.forgotten for one in sorted(played, key=lambda one: one.request.key)]


def test_turns_that_come_to_their_limit_are_told_from_those_that_the_model_ends(tmp_path, tiny_model):
    generator, store, drawn = tiny(tiny_model, batch_size=8), SampleStore(tmp_path), {}
    play = generator.play
    generator.play = lambda *asked: (
        drawn.update((p.request.key, p.row) for p in each) or each for each in play(*asked)
    )
    collect(environment(EVEN_LENGTH, "compact", 4, max_turn_length=5), generator, store, 2)
    rows = [row for rows in store.rows() for row in rows]
    end = generator.tokenizer.eos_token_id
    for row in rows:
        assert row["cut_off"] == [turn.ids[-1] != end for turn in drawn[row["problem"], row["sample"]].turns]
    cut_off = [cut for row in rows for cut in row["cut_off"]]
    assert 0 < sum(cut_off) < len(cut_off)
    found = measures(TaskSamples.from_table(store.measured()))["episodes"]["cut_off"]
    assert found["value"] == pytest.approx(sum(cut_off) / len(cut_off)), "all episodes have three turns"


def test_a_server_says_which_turns_it_has_cut_off(tmp_path):
    def answer(body):
        reason = "length" if len(body["messages"]) == 3 else "stop"
        return chat_answer("<think></think><action>go</action>", reason)

    with running(Server(answer)) as server:
        row, _, _ = of_problem_1(tmp_path, server)
    assert row["cut_off"] == [number == 1 for number in range(len(row["written"]))]
    assert len(row["written"]) > 1


def test_an_episode_that_no_longer_fits_is_given_up(tmp_path, tiny_model):
    store = SampleStore(tmp_path)
    generator = tiny(tiny_model, max_tokens=10)
    collect(environment(EVEN_LENGTH, "compact", 2, max_turn_length=4), generator, store, 2)
    rows = [row for rows in store.rows() for row in rows]
    assert any(not row["finished"] for row in rows)
    for row in rows:
        assert (row["failure"] == "truncated") == (not row["finished"])
        assert not (row["correct"] and not row["finished"])


def test_evaluations_of_earlier_versions_have_no_columns_of_episodes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    old = pa.schema([field for field in SCHEMA if field.name not in LATER])
    row = {"problem": 1, "sample": 1, "prompt": "1+1=", "response": "2", "finished": True, "correct": True}
    pq.write_table(pa.Table.from_pylist([row], old), tmp_path / "samples.parquet")
    store = SampleStore(tmp_path)
    ((read,),) = store.rows()
    assert {read[name] for name in OF_EPISODES} == {None}
    assert measures(TaskSamples.from_table(store.measured()))["episodes"] is None


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (f"{PATH}:valid", "has no split 'valid': give one of train, test"),
        ("tests.evaluate.worlds:Pat", "cannot be imported"),
        ("tests.evaluate.worlds:Fails", "Fails: LookupError: no tasks for a count of 3"),
    ],
)
def test_labels_that_name_no_tasks_are_refused(label, said):
    with pytest.raises(UserError, match=said):
        environment(label, count=3)


def test_of_an_environment_with_fewer_tasks_than_asked_for_all_are_measured():
    assert len(environment("tests.evaluate.worlds:Few", count=9).rows) == 5
    assert len(environment("tests.evaluate.worlds:Few", count=2).rows) == 2


def test_without_a_split_the_last_is_measured():
    problems = environment(count=2)
    assert problems.name == f"{PATH}:test"
    assert len(problems.rows) == 2
