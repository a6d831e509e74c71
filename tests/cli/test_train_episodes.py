"""`htpo train --dataset` with an environment."""

import json
import shutil
from html import unescape

import pytest
import torch
from safetensors.torch import load_file

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import read_runs
from htpo.cli.train import train_from_arguments
from htpo.errors import UserError
from htpo.report.responses_page import responses_page
from htpo.runs import RunDirectory, RunRecord
from tests.cli.command import TWO_PROCESSES, htpo_afresh, without_times

SMALL = {
    "train_prompts": 28,
    "held_out_prompts": 2,
    "eval_samples": 2,
    "prompts_per_generation": 2,
    "num_generations": 2,
    "updates_per_generation": 1,
    "max_turns": 2,
    "max_turn_length": 4,
    "max_completion_length": 128,
    "dynamic_sampling": "false",
    "save_strategy": "no",
    "max_steps": 2,
    "rollout_every": 1,
    "use_cpu": "true",
    "report": "false",
}
EVEN_LENGTH = "tests.engines.trl.worlds:EvenLength"  # which a random policy solves half the time


def train(dataset, model, folder, **options):
    given = SMALL | {"dataset": dataset, "model_name_or_path": model, "output_dir": folder} | options
    return train_from_arguments([text for name, value in given.items() for text in (f"--{name}", str(value))])


def test_household_trains_and_is_measured_before_and_after(word_model, tmp_path):
    summary = train("household", word_model, tmp_path / "run", invalid_action_penalty=0.1)
    assert summary["updates"] == 2
    run = RunDirectory(tmp_path / "run")
    assert all(record["episodes/turns"] == 2 for record in run.read_metrics() if "episodes/turns" in record)
    assert run.read_json("evaluation_before.json")["samples"] == 2
    assert len(run.read_json("evaluation_after.json")["correct"]) == 2
    assert "an episode is correct when it succeeds" in run.read_json("plan.json")["task"]
    kept = run.read_rollouts().to_pylist()
    assert "your task is to" in kept[0]["prompt"]
    for row in kept:
        assert sum(row["turn_tokens"]) == len(row["tokens"])
        assert [len(row[name]) for name in ("turn_tokens", "actions", "invalid", "shown")] == [2, 2, 2, 1]
    page = episodes_page(run.path)
    first = next(row for row in kept if row["prompt"] in page)
    assert first["task_type"] in page
    assert "Turn 2" in page
    assert "no success, score 0.00, turns 2, invalid actions" in page
    assert ("<strong>invalid</strong>" in page) == any(any(row["invalid"]) for row in kept)


def test_household_has_a_policy_and_a_recipe_of_its_own(tmp_path):
    flags = {"train_prompts": 40, "held_out_prompts": 16, "eval_samples": 2, "prompts_per_generation": 4,
             "updates_per_generation": 1, "max_steps": 1, "save_strategy": "no", "use_cpu": "true", "report": "false",
             "dataset": "household:train", "output_dir": tmp_path / "run"}  # fmt: skip
    train_from_arguments([text for name, value in flags.items() for text in (f"--{name}", str(value))])
    run = RunDirectory(tmp_path / "run")
    assert run.config["max_turns"] == 12, "of the recipe household"
    assert "built-in household policy" in run.read_json("plan.json")["policy"]
    assert sum(run.read_json("evaluation_before.json")["correct"]) > 0
    [record] = [record for record in run.read_metrics() if "accuracy" in record]
    assert 0.1 < record["accuracy"] < 0.6


@pytest.mark.slow
def test_success_in_the_household_rises_by_half(tmp_path):
    train_from_arguments(["--dataset", "household", "--output_dir", str(tmp_path / "run")])
    before, after = RunDirectory(tmp_path / "run").read_json("summary.json")["pass@1"]
    assert after >= 1.5 * before


def episodes_page(folder):
    table = read_runs([RunRecord.read(RunDirectory(folder))])
    return unescape(responses_page(TokenAnalysis(table, read_logic_words(), 1), "episodes"))


def test_a_resumed_run_of_episodes_equals_the_uninterrupted_one(word_model, tmp_path):
    whole, cut = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "num_generations": 8, "max_turns": 3}
    train(EVEN_LENGTH, word_model, whole.path, **options)
    shutil.copytree(whole.path, cut.path)
    shutil.rmtree(cut.path / "checkpoint-4")
    train(EVEN_LENGTH, word_model, cut.path, **options, resume="true")
    assert all(0 < record["accuracy"] < 1 and record["grad_norm"] > 0 for record in whole.read_metrics())
    assert without_times(cut.read_metrics()) == without_times(whole.read_metrics())
    ours, theirs = (load_file(run.path / "model" / "model.safetensors") for run in (cut, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


HISTORY = {"history_length": 1, "max_turns": 4, "max_completion_length": 24, "dynamic_sampling": "true"}


def test_a_resumed_run_of_episodes_that_lose_turns_equals_the_uninterrupted_one(word_model, tmp_path):
    whole, cut = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "num_generations": 8, **HISTORY}
    options |= {"updates_per_generation": 2, "per_device_train_batch_size": 4}
    train(EVEN_LENGTH, word_model, whole.path, **options)
    shutil.copytree(whole.path, cut.path)
    shutil.rmtree(cut.path / "checkpoint-4")
    train(EVEN_LENGTH, word_model, cut.path, **options, resume="true")
    records = [record for record in whole.read_metrics() if "accuracy" in record]
    assert all(record["episodes/shortened_share"] == 1 and record["grad_norm"] > 0 for record in records)
    assert without_times(cut.read_metrics()) == without_times(whole.read_metrics())
    ours, theirs = (load_file(run.path / "model" / "model.safetensors") for run in (cut, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    plan = whole.read_json("plan.json")
    assert "shown its last 1 turns at most" in plan["task"]
    assert "tokens each" not in plan["batch"]
    assert "soft overlong punishment off" in plan["dynamic sampling"]
    for row in whole.read_rollouts().to_pylist():
        assert [len(row[name]) for name in ("turn_tokens", "actions", "shown")] == [3, 3, 2], "an episode is one row"
        assert row["forgotten"] == [0, 0, 1]
        assert sum(row["turn_tokens"]) == len(row["tokens"])


def test_two_processes_play_each_their_share_and_know_each_other_s_turns(word_model, tmp_path):
    table = {"axes": ["turn", "segment", {"entropy": {"scope": "batch"}}], "cells": {"first": {"weight": 0.5}}}
    given = SMALL | {"dataset": "household", "model_name_or_path": word_model, "output_dir": tmp_path / "run"}
    given |= {"objective_options": json.dumps(table), "max_turns": 3, "history_length": 1}
    options = [text for name, value in given.items() if name != "use_cpu" for text in (f"--{name}", str(value))]
    done = htpo_afresh("train", *options, launcher=TWO_PROCESSES)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(tmp_path / "run")
    assert [record["step"] for record in run.read_metrics()] == [1, 2]
    assert "2 processes" in done.stdout
    assert len(set(run.read_rollouts()["response"].to_pylist())) == 8
    high, entropies = 0, []
    for row in run.read_rollouts().to_pylist():
        assert row["forgotten"] == [0, 0, 1]
        first = row["turn_tokens"][0]
        assert set(row["group"][:first]) <= {3, 4}, "the compact format has actions alone"
        assert set(row["group"][first:]) <= {7, 8}
        if row["step"] == 1:
            high, entropies = high + sum(group % 2 == 0 for group in row["group"]), [*entropies, *row["entropy"]]
    cut = sorted(entropies, reverse=True)[int(0.2 * len(entropies)) - 1]
    assert high == sum(entropy >= cut for entropy in entropies), "one quantile over both processes"
    assert "G3 first / action / low: ppo, weight 0.5" in done.stdout


@pytest.mark.parametrize(
    ("dataset", "options", "said"),
    [
        ("household:nowhere", {}, "nowhere"),
        ("household", {"dataset_config": "rooms=2"}, "needs the environment's options as JSON"),
        ("household", {"max_turn_length": 200}, "max_turn_length .200. is above max_completion_length"),
        ("household", {"prompt_format": "verl_agent"}, "needs a model with a chat template"),
        (
            "household",
            {"history_length": 2, "overlong_buffer": 64},
            "overlong_buffer=64 punishes .* with history_length bounds what .*: leave it out",
        ),
        ("household", {"history_length": 0}, "history_length is 0"),
        ("household", {"prompt_format": "react"}, "prompt_format is 'react'"),
        ("household", {"verifier": "math"}, "verifier='math' has no effect on household"),
        ("household", {"max_prompt_length": 10}, "max_prompt_length=10 has no effect on household"),
        ("household", {"eval_dataset": "webshop:test"}, "is another environment than household"),
        ("tests.environments.unruly:Wordless", {}, "must return an Observation, not str"),
        ("tests.environments.unruly:Taskless", {}, "Taskless has no tasks"),
        ("number_path", {}, "max_turn_length=4 has no effect: it belongs to a dataset that is an environment"),
    ],
)
def test_what_cannot_be_played_is_refused_before_training(word_model, tmp_path, dataset, options, said):
    with pytest.raises(UserError, match=said):
        train(dataset, word_model, tmp_path / "run", **options)


def test_an_environment_beside_others_is_refused_also_where_no_model_is_given(tmp_path):
    with pytest.raises(UserError, match="--dataset household household: an environment is trained on alone"):
        train_from_arguments(["--dataset", "household", "household", "--output_dir", str(tmp_path / "run")])
