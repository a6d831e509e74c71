"""Options that would be ignored, or break late, are refused in one line before anything is loaded."""

import re
import sys

import pytest

from htpo.cli import main
from htpo.cli.train import train_from_arguments
from htpo.engines.trl import training_job

FAST = ["--max_steps", "1", "--train_prompts", "16", "--held_out_prompts", "0", "--prompts_per_generation", "4"]
FAST += ["--updates_per_generation", "1", "--num_generations", "4", "--max_completion_length", "8", "--report", "false"]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs `htpo train` with arguments that must be refused before a tokenizer or a model is loaded."""
    monkeypatch.chdir(tmp_path)

    def loaded(job):
        raise AssertionError("refused too late: something was loaded")

    monkeypatch.setattr(training_job.Job, "_tokenizer", loaded)

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
        (["--optim_target_modules", "q_proj"], "belongs to optim galore"),
    ],
)
def test_an_option_without_effect_is_refused_with_what_to_do(refused, arguments, said):
    message = refused(*arguments)
    assert re.search(said, message), message
