"""reasoning-gym's generators as tasks, judged by their own scorers in worker processes."""

import pytest

from htpo.errors import UserError
from htpo.tasks import DataOptions
from htpo.tasks.sources.reasoning_gym import PREFIX, ReasoningGym
from htpo.verifiers.reasoning_gym.verifier import ReasoningGymVerifier, last_answer

pytest.importorskip("reasoning_gym", reason='pip install "htpo[gym]"')


def make(name, config, train, held_out, seed, conversational=False):
    source = ReasoningGym(f"{PREFIX}{name}", name, config)
    return source.make(train, held_out, seed, conversational=conversational)


@pytest.fixture(scope="module")
def countdown():
    task = make("countdown", None, 70, 5, 3)
    yield task
    task.verifier.close()


def test_prompts_are_distinct_ask_for_the_tag_and_none_is_held_out_and_trained_on(countdown):
    prompts = [*countdown.train["prompt"], *countdown.held_out["prompt"]]
    assert (len(countdown.train), len(countdown.held_out), len(set(prompts))) == (70, 5, 75)
    assert all(prompt.endswith("within <answer> </answer> tags.") for prompt in prompts)
    again = make("countdown", None, 70, 5, 3)
    again.verifier.close()
    assert again.train.to_list() == countdown.train.to_list()


def test_its_own_scorer_judges_right_wrong_and_half_right_answers(countdown):
    row, other = countdown.train[0], countdown.train[1]
    verdicts = countdown.verifier.judge(
        [f"so {row['solution']}", other["solution"], "<answer>1 + 1</answer>", "no tag", "<answer>7"], [row] * 5
    )
    assert [verdict.correct for verdict in verdicts] == [True, False, False, False, False]
    assert verdicts[0].reward == 1
    assert 0 < verdicts[2].reward < 0.1
    assert [verdict.failure for verdict in verdicts[3:]] == ["unparsable", "unparsable"]
    assert countdown.verifier.failures["unparsable"] == 2


def test_an_answer_within_reasoning_is_none(countdown):
    row = countdown.train[0]
    right = row["solution"]
    verdicts = countdown.verifier.judge(
        [f"<think>{right}", f"<think>{right}</think>", f"<think></think>{right}"], [row] * 3
    )
    assert [verdict.correct for verdict in verdicts] == [False, False, True]
    (unclosed,) = countdown.verifier.judge([right], [{**row, "sent": "Make 24.\n<think>\n"}])
    assert unclosed.failure == "unparsable"


def test_an_answer_that_attacks_the_scorer_costs_one_worker_and_no_more(countdown):
    row = countdown.train[0]
    attacks = ["9**9**9**9", "(lambda f: f(f))(lambda f: f(f))", "().__class__", "__import__('os')._exit(0)"]
    verifier = ReasoningGymVerifier("countdown", countdown.verifier.settings, workers=1, timeout=2.0)
    verdicts = verifier.judge([f"<answer>{text}</answer>" for text in attacks] + [row["solution"]], [row] * 5)
    verifier.close()
    assert [verdict.correct for verdict in verdicts] == [False] * 4 + [True]


def test_the_last_answer_counts_and_an_open_tag_is_none():
    assert last_answer("<answer>1</answer> no, <answer> 2\n</answer>") == "2"
    assert last_answer("<answer>1</answer> no, <answer>2") is None
    assert last_answer("2") is None


def test_settings_of_the_generator_are_its_difficulty():
    task = make("countdown", '{"min_numbers": 3, "max_numbers": 3}', 5, 0, 0, conversational=True)
    task.verifier.close()
    assert task.held_out is None
    (message,) = task.train[0]["prompt"]
    assert message["role"] == "user"
    assert message["content"].split("numbers: ")[1].split("\n")[0].count(",") == 2


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("no_such_generator", None, "no generator 'no_such_generator'"),
        ("countdown", '{"min_numbers": -1}', "dataset_config"),
        ("countdown", '{"unknown": 1}', "unknown"),
        ("countdown", "{", "dataset_config {"),
    ],
)
def test_what_the_gym_does_not_know_is_refused(name, settings, message):
    with pytest.raises(UserError, match=message):
        make(name, settings, 5, 0, 0)


def test_options_take_several_sources():
    assert DataOptions(dataset="a").dataset == ["a"]
    assert DataOptions(dataset=["a", "b"]).dataset == ["a", "b"]
