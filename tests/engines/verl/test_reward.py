"""verl's own reward worker judges by our verifiers, told so by one line of its configuration."""

import os
from importlib.util import find_spec

import pytest
from pyarrow import parquet

from htpo.engines.verl.cpu import ENVIRONMENT
from htpo.engines.verl.reward import NoVerdict, is_finished, said
from htpo.playing.verdicts import EPISODE
from htpo.tasks import DataOptions, load_task
from htpo.tasks.verl_layout import TRAIN, export_task
from htpo.verifiers import Verdict
from tests.engines.tiny import save_tiny_model
from tests.tasks.data import sums, write_rows

LIMIT = 24  # tokens of a response


@pytest.mark.parametrize(
    ("prompt", "response", "finished"),
    [
        (3, [5, 6], True),  # engines may leave the end token out
        (3, [5, 6, 1], True),
        (3, [5, 6, 7, 8], False),
        (3, [5, 6, 7, 1], True),
        (8, [5, 6], False),  # with its prompt it fills the model's window
        (8, [5, 1], True),
        (3, [], True),
    ],
)
def test_a_response_that_fills_its_room_without_an_end_token_was_cut(prompt, response, finished):
    assert is_finished(prompt, response, limits=(4, 10), end_tokens=[1, 2]) is finished


def test_every_verdict_is_said_with_the_same_keys_and_none_is_not_said():
    verdicts = [Verdict(True, "4"), Verdict(False, failure="timeout"), Verdict(False, "a" * 10**6, score=0.25)]
    records = [said(verdict) for verdict in verdicts]
    assert len({tuple(record) for record in records}) == 1
    assert [(record["score"], record["acc"]) for record in records] == [(1.0, 1.0), (0.0, 0.0), (0.25, 0.0)]
    assert len(records[2]["answer"]) < 10**5
    with pytest.raises(NoVerdict):
        said(Verdict(False, failure="unscored"))


@pytest.fixture(scope="module")
def make_worker(tmp_path_factory):
    """verl's reward worker, with some of its options."""
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")
    os.environ |= ENVIRONMENT
    from hydra import compose, initialize_config_module
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder, chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}")
    fixed = [f"actor_rollout_ref.model.path={folder}", "actor_rollout_ref.rollout.name=vllm"]

    def make(*options: str):
        given = [*fixed, f"data.max_response_length={LIMIT}", "reward.reward_manager.name=htpo", *options]
        with initialize_config_module("verl.trainer.config", version_base="1.1"):
            return RewardLoopWorker(compose("ppo_trainer", overrides=given))

    return make


def session(tokenizer, row: dict, response: str, ended: bool = True, beside: int = 0):
    """What verl's agent loop sends: a row of the data, and token ids; `beside` more tokens are padding."""
    import numpy as np
    import torch
    from tensordict import TensorDict
    from verl import DataProto

    prompt = tokenizer(row["prompt"][0]["content"])["input_ids"]
    answer = tokenizer(response)["input_ids"] + [tokenizer.eos_token_id] * ended
    columns = {name: np.array([value]) for name, value in {**row, "raw_prompt": row["prompt"]}.items()}
    lengths = {"prompt_len": np.array([len(prompt)]), "response_len": np.array([len(answer)])}
    tensors = {
        "prompts": torch.tensor([prompt + [0] * beside]),
        "responses": torch.tensor([answer + [0] * beside]),
        "attention_mask": torch.ones(1, len(prompt) + len(answer) + 2 * beside, dtype=torch.long),
    }
    return DataProto(TensorDict(tensors, batch_size=1), columns | lengths)


def rewards_of(worker, sessions):
    import asyncio

    async def run():
        return await asyncio.gather(*[worker.compute_score(each) for each in sessions], return_exceptions=True)

    outcomes = worker.reward_manager.loop.run_until_complete(run())
    worker.reward_manager.verdicts.close()
    return outcomes


def exported_rows(folder, **options) -> list[dict]:
    options = DataOptions(**{"held_out_prompts": 0, **options})
    export_task(load_task(options), options, folder / "out")
    return parquet.read_table(folder / "out" / TRAIN).to_pylist()


@pytest.mark.verl
def test_one_line_is_enough_for_exported_data(make_worker, tmp_path):
    pattern = {"answer_pattern": "is ([0-9]+)", "prompt_template": "{prompt}"}
    rows = exported_rows(
        tmp_path, dataset=[write_rows(tmp_path / "a.jsonl", sums(8)), "countdown"], verifier="math", **pattern
    )
    worker = make_worker()
    tokenizer = worker.input_tokenizer
    maths, puzzle = rows[0], rows[-1]
    right = f"it is {maths['reward_model']['ground_truth']}"
    sessions = [
        session(tokenizer, maths, right),
        session(tokenizer, maths, right, beside=5),
        session(tokenizer, maths, "it is 0"),
        session(tokenizer, maths, right.ljust(LIMIT, "."), ended=False),
        session(tokenizer, puzzle, "01+01=02."),
    ]
    outcomes = [outcome["reward_extra_info"] for outcome in rewards_of(worker, sessions)]
    assert [outcome["acc"] for outcome in outcomes] == [1, 1, 0, 0, 0]
    assert [outcome["failure"] for outcome in outcomes] == [None, None, None, "truncated", None]
    assert [outcome["finished"] for outcome in outcomes] == [True, True, True, False, True]
    assert outcomes[0]["answer"] == maths["reward_model"]["ground_truth"]


@pytest.mark.verl
def test_the_chat_template_that_adds_nothing_is_read_as_the_export_prints_it(make_worker):
    from htpo.cli.data_export import NO_TEMPLATE

    worker = make_worker(f"actor_rollout_ref.model.custom_chat_template={NO_TEMPLATE}")
    tokenizer, messages = worker.input_tokenizer, [{"role": "user", "content": "01 02>03:"}]
    template = worker.config.actor_rollout_ref.model.custom_chat_template
    assert tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False) == "01 02>03:"


@pytest.mark.verl
def test_the_overlong_buffer_lowers_the_reward_and_not_the_correctness(make_worker, tmp_path):
    rows = exported_rows(
        tmp_path,
        dataset=[write_rows(tmp_path / "a.jsonl", sums(4))],
        verifier="math",
        answer_pattern="is ([0-9]+)",
        prompt_template="{prompt}",
    )
    buffer = "+reward.reward_kwargs.overlong_buffer_cfg"
    settings = {"enable": True, "len": 8, "penalty_factor": 1.0, "log": False}
    shaped = [f"{buffer}.{name}={value}" for name, value in settings.items()]
    worker = make_worker(*shaped, f"+reward.reward_kwargs.max_resp_len={LIMIT}")
    right = f"it is {rows[0]['reward_model']['ground_truth']}".ljust(LIMIT - 5)  # with the end 20 tokens, 4 too many
    (outcome,) = rewards_of(worker, [session(worker.input_tokenizer, rows[0], right)])
    assert outcome["reward_score"] == pytest.approx(0.5)
    assert (outcome["reward_extra_info"]["score"], outcome["reward_extra_info"]["acc"]) == (1, 1)


@pytest.mark.verl
def test_a_response_without_a_verdict_fails_its_session_and_no_other(make_worker, tmp_path):
    rows = exported_rows(
        tmp_path,
        dataset=[write_rows(tmp_path / "a.jsonl", sums(4))],
        verifier="tests.verifiers.my_verifiers:raises_on_x",
    )
    worker = make_worker()
    good, bad = (session(worker.input_tokenizer, rows[0], text) for text in ("yes", "axe"))
    outcomes = rewards_of(worker, [good, bad, good])
    assert [type(outcome) for outcome in outcomes] == [dict, NoVerdict, dict]


@pytest.mark.verl
def test_data_of_others_is_judged_by_the_verifier_that_the_run_names(make_worker):
    worker = make_worker("+htpo.verifier=math", "+htpo.answer_pattern='is ([0-9]+)'")
    prompt = [{"role": "user", "content": "2+2="}]
    row = {"data_source": "theirs", "prompt": prompt, "reward_model": {"style": "rule", "ground_truth": "4"}}
    sessions = [session(worker.input_tokenizer, row, text) for text in ("it is 4", "it is 5")]
    assert [outcome["reward_score"] for outcome in rewards_of(worker, sessions)] == [1, 0]


@pytest.mark.verl
def test_an_episode_brings_its_verdict_which_its_text_and_end_do_not_change_and_is_shaped_by_its_length(make_worker):
    buffer = "+reward.reward_kwargs.overlong_buffer_cfg={enable:True,len:8,penalty_factor:1.0,log:False}"
    worker = make_worker(buffer, f"+reward.reward_kwargs.max_resp_len={LIMIT}")
    row = {"data_source": "household", "prompt": [{"role": "user", "content": "task"}], "extra_info": {}}
    row |= {"reward_model": {"style": "rule", "ground_truth": ""}}
    counts = {"turns": 3.0, "invalid_actions": 1.0, "score": 0.5}

    def played(verdict: Verdict, length: int):
        about = {EPISODE: {"verdict": vars(verdict), "measured": counts, "policy_tokens": 9}}
        text = "go".ljust(length, ".")
        return session(worker.input_tokenizer, {**row, "tool_extra_fields": about}, text, ended=False)

    won, lost = Verdict(True, "go", score=0.9), Verdict(False, "go", "truncated", score=0.25)
    sessions = [played(won, 4), played(won, LIMIT), played(lost, 4)]
    outcomes = rewards_of(worker, sessions)
    assert [outcome["reward_score"] for outcome in outcomes] == pytest.approx([0.9, -0.1, 0.25])
    infos = [outcome["reward_extra_info"] for outcome in outcomes]
    assert [info["acc"] for info in infos] == [1, 1, 0]
    assert [info["finished"] for info in infos] == [True, True, False]
    assert [(info["turns"], info["invalid_actions"], info["policy_tokens"]) for info in infos] == [(3, 1, 9)] * 3
