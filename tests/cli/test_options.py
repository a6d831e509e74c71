"""Options that would be ignored, or break late, are refused in one line before anything is loaded."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from htpo.cli import main
from htpo.cli.rivals import without_rivals
from htpo.cli.train import parse_train, read_recipe
from htpo.engines import job, plan
from htpo.engines.trl.availability import TRACKERS
from htpo.engines.trl.held_out import HeldOut
from htpo.runs import RunDirectory
from tests.cli.command import sums, write_problems
from tests.cli.forked import Outcome, train_in_a_fork


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs `htpo train` with arguments that must be refused before a tokenizer or a model is loaded."""
    monkeypatch.chdir(tmp_path)

    def loaded(started):
        raise AssertionError("refused too late: something was loaded")

    monkeypatch.setattr(job.Job, "_tokenizer", loaded)

    def run(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["htpo", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        message = capsys.readouterr().err.strip().splitlines()
        assert stopped.value.code == 2
        assert message[-1].startswith("htpo: ")
        assert list(tmp_path.iterdir()) == []
        return message[-1]

    return run


RANGES = {
    "temperature": [0, -1, "nan"],
    "top_p": [0, 2],
    "top_k": [-5],
    "min_p": [2],
    "num_generations": [1],
    "max_completion_length": [0],
    "learning_rate": [-1, "nan", "inf"],
    "adam_beta1": [1],
    "warmup_steps": [-1, "nan"],
    "max_steps": [0, -2],
    "save_steps": [0],
    "logging_steps": [0],
    "per_device_train_batch_size": [0],
    "seed": [-1, 2**32],
    "beta": [-0.1],
    "overlong_factor": [-1],
    "eval_samples": [-1],
    "eval_top_p": [0, 1.5],
    "rollout_every": [-1],
    "scale_rewards": ["nonsense"],
    "multi_objective_aggregation": ["nonsense"],
    "vllm_mode": ["nonsense"],
    "lr_scheduler_type": ["nonsense"],
    "gradient_checkpointing_kwargs": ["nonsense"],
    "chat_template_kwargs": ["nonsense"],
    "generation_kwargs": ["nonsense", '{"nonsense": 1}'],
    "lr_scheduler_kwargs": ["nonsense", '{"nonsense": 1}'],
    "optim_args": ["nonsense"],
    "torch_compile_mode": ["nonsense"],
    "torch_compile_backend": ["nonsense"],
    "cache_implementation": ["nonsense"],
    "model_revision": ["nonsense"],
    "model_init_kwargs": ["nonsense"],
    "accelerator_config": ["nonsense"],
    "pad_to_multiple_of": ["nonsense", 0],
    "dtype": ["nonsense"],
    "report_to": ["nonsense"],
    "deepspeed": ["missing.json"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in RANGES.items() for value in values])
def test_a_value_that_cannot_be_used_is_refused_by_name(refused, name, value):
    assert name in refused(f"--{name}", value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--vllm_gpu_memory_utilization", 0.5],
            "vllm_gpu_memory_utilization=0.5 has no effect: it belongs to use_vllm",
        ),
        (["--lora_r", 8], "lora_r=8 has no effect: it belongs to use_peft"),
        (["--bnb_4bit_quant_type", "fp4"], "belongs to load_in_4bit"),
        (["--sync_ref_model", "true"], "belongs to beta"),
        (["--run_name", "mine"], "belongs to report_to"),
        (["--hub_model_id", "a/b"], "belongs to push_to_hub"),
        (["--gradient_checkpointing_kwargs", '{"use_reentrant": false}'], "belongs to gradient_checkpointing"),
        (["--label_smoothing_factor", 0.1], "the loss is the objective's"),
        (["--train_sampling_strategy", "sequential"], "draws its own batches"),
        (["--eval_strategy", "steps"], "--eval_every N"),
        (["--save_strategy", "best", "--metric_for_best_model", "reward"], "--eval_every N"),
        (["--load_best_model_at_end", "true", "--save_strategy", "no"], "--eval_every N|load_best_model_at_end"),
        (["--log_completions", "true"], "--rollout_every and --rollouts_kept"),
        (["--resume_from_checkpoint", "true"], "--resume and --output_dir"),
        (["--remove_unused_columns", "true"], "the verifier reads"),
        (["--num_train_epochs", 1, "--max_steps", 5], r"max_steps \(5\) and num_train_epochs \(1.0\)"),
        (
            ["--gradient_checkpointing", "true", "--gradient_checkpointing_kwargs", '{"a": 1}'],
            "a: torch has no",
        ),
        (["--optim_target_modules", "q_proj"], "belongs to optim galore"),
    ],
)
def test_an_option_without_effect_is_refused_with_what_to_do(refused, arguments, said):
    message = refused(*arguments)
    assert re.search(said, message), message


@pytest.fixture
def train(tmp_path):
    """Runs one short update in a fork, with arguments; returns (how it ended, run directory)."""

    def run(*arguments, patches=()):
        outcome = train_in_a_fork([str(argument) for argument in arguments], tmp_path, patches)
        return outcome, RunDirectory(tmp_path / "run")

    return run


@pytest.mark.parametrize("arguments", [["--logging_steps", "5"], ["--logging_strategy", "no"]])
def test_the_last_update_is_logged_and_the_run_ends_well(train, arguments):
    outcome, run = train("--max_steps", "2", *arguments)
    assert outcome.kind == "ok", outcome
    assert [record["step"] for record in run.read_metrics()] == [2]
    assert Path(run.read_json("summary.json")["figure"]).is_file()


def test_epochs_given_as_a_flag_replace_the_recipes_updates(tmp_path, monkeypatch):
    values, replaced = without_rivals(read_recipe("quickstart"), {"num_train_epochs": 2})
    assert "max_steps" not in values
    assert replaced == ["max_steps"]
    _, engine = parse_train({**values, "num_train_epochs": 2, "output_dir": str(tmp_path)})
    assert (engine.config.num_train_epochs, engine.config.max_steps) == (2, -1)


def test_a_feature_switched_off_takes_its_options_along():
    values, replaced = without_rivals(read_recipe("qwen3_lora_24gb"), {"use_vllm": False})
    assert not [name for name in values if name.startswith("vllm_")]
    assert "use_vllm" not in replaced
    assert "lora_r" in values


def fail(*arguments, **options):
    raise RuntimeError("no such luck")


def test_a_figure_that_cannot_be_drawn_fails_no_run(train):
    outcome, run = train(patches=((plan, "draw_training_figure", fail),))
    assert outcome.kind == "ok", outcome
    summary = run.read_json("summary.json")
    assert summary["figure"] == "none: RuntimeError: no such luck"
    assert "failed" not in summary


def test_a_measurement_that_fails_after_training_keeps_model_and_summary(train):
    patch = (HeldOut, "after", fail)
    outcome, run = train("--eval_samples", "2", patches=(patch,))
    assert outcome == Outcome("traceback", "RuntimeError: no such luck", outcome.printed)
    assert run.read_json("summary.json")["failed"] == "not measured after training: RuntimeError: no such luck"
    assert (run.path / "model" / "model.safetensors").is_file()


def test_scale_rewards_false_is_none(tmp_path):
    _, engine = parse_train({"scale_rewards": "False", "output_dir": str(tmp_path)})
    assert engine.config.scale_rewards == "none"


def test_every_tracker_of_the_host_is_known():
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(TRACKERS) == set(INTEGRATION_TO_CALLBACK)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_missing_tracker_is_refused(refused, monkeypatch, tracker):
    monkeypatch.setitem(TRACKERS, tracker, (lambda: False, "pip install it"))
    assert f"report_to {tracker} cannot be used here: pip install it" in refused("--report_to", tracker)


@pytest.mark.parametrize(
    ("package", "option", "value"),
    [("bitsandbytes", "optim", "adamw_8bit"), ("liger_kernel", "use_liger_kernel", "true")],
)
def test_a_missing_package_is_refused_by_the_option_that_needs_it(refused, package, option, value):
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    assert option in refused(f"--{option}", value)


def test_a_hub_that_does_not_know_the_account_is_refused(refused, monkeypatch):
    monkeypatch.setattr("huggingface_hub.whoami", fail)
    assert "push_to_hub cannot reach your account (no such luck)" in refused("--push_to_hub", "true")


def test_an_unexpected_error_is_one_line_and_a_file(monkeypatch, capsys):
    monkeypatch.setattr("htpo.cli.train.train_from_arguments", fail)
    monkeypatch.setattr(sys, "argv", ["htpo", "train"])
    with pytest.raises(SystemExit) as stopped:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 1
    path = re.match(r"htpo: unexpected RuntimeError: no such luck \(its traceback is in (\S+),", line)[1]
    assert "in fail" in Path(path).read_text()
    Path(path).unlink()


def test_overlong_prompts_are_left_out_counted_and_recorded(train, tmp_path, tiny_model):
    data = write_problems(tmp_path / "sums.jsonl", sums(30))  # ten of four characters, twenty of six
    limit = ["--max_prompt_length", "5", "--filter_overlong_prompts", "true"]
    options = ["--dataset", data, "--verifier", "math", "--prompt_template", "{prompt}"]
    outcome, run = train(*options, *limit, "--model_name_or_path", tiny_model, "--held_out_prompts", "6")
    assert outcome.kind == "ok", outcome
    said = r"left out as longer than 5 tokens: (\d+) of 27 training prompts, (\d) of 3 held-out prompts"
    left_out = re.search(said, run.read_json("plan.json")["task"])
    assert int(left_out[1]) + int(left_out[2]) == 20
    assert left_out[0] in " ".join(outcome.printed.split())


def test_too_few_prompts_left_are_refused(train, tmp_path, tiny_model):
    data = write_problems(tmp_path / "sums.jsonl", sums(30)[8:])
    options = ["--dataset", data, "--verifier", "math", "--prompt_template", "{prompt}", "--held_out_prompts", "0"]
    limit = ["--max_prompt_length", "5", "--filter_overlong_prompts", "true"]
    outcome, run = train(*options, *limit, "--model_name_or_path", tiny_model)
    assert re.search("2 prompts to train on but a generation batch needs 4.*20 of 22 training prompts", outcome.message)
    assert not run.path.exists()


@pytest.mark.parametrize("option", ["lora_target_modules", "lora_modules_to_save", "lora_target_parameters"])
def test_an_adapter_of_layers_that_the_model_has_not_is_refused(train, option):
    outcome, run = train("--use_peft", "true", f"--{option}", "nonsense")
    assert outcome.kind == "late", outcome
    assert "nonsense" in outcome.message
    assert not any(run.path.glob("*"))


def test_what_will_not_act_is_noted(train):
    outcome, _ = train("--ddp_timeout", "100", "--warmup_steps", "10", "--entropy_of", "old")
    assert outcome.kind == "ok", outcome
    assert "entropy_of=old: that is the policy in training, as one update is made of each batch" in outcome.printed
    assert "Note: ddp_timeout have an effect with several processes only" in outcome.printed
    assert "training ends (1 updates) before the warm-up does (10)" in outcome.printed


def test_whose_entropies_are_shown_is_noted(tmp_path):
    options = {"prompts_per_generation": 4, "num_generations": 4, "updates_per_generation": 2, "save_steps": 2}
    options |= {"entropy_of": "old", "output_dir": str(tmp_path), "use_cpu": True, "bf16": False}
    _, engine = parse_train(options)
    assert "entropy_of=old: entropies in metrics and rollouts are those of the policy that sampled" in engine.remarks()
