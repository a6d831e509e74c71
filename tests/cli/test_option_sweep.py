"""Every option of `htpo train`, tried with values of every kind: none ends in a traceback, or late."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from functools import cache

import pytest
from trl import ModelConfig

from htpo.cli.train import _parser, parse_train
from htpo.engines.job_options import JobOptions
from htpo.engines.trl import HTPOConfig
from htpo.errors import UserError
from tests.cli.forked import train_in_a_fork

SLOW = {"torch_compile", "torch_compile_backend", "torch_compile_mode"}  # minutes of compiling
ENDLESS = {("max_steps", "1000"), ("train_prompts", "1000"), ("held_out_prompts", "1000")}
LATE = {  # one line all the same, which only the data, the model or the launcher can give
    "attn_implementation", "correctness_reward", "dataset", "eval_dataset", "eval_every", "fsdp", "model_init_kwargs",
    "model_name_or_path", "prompt_template", "reward_weights", "router_aux_loss_coef", "system_prompt",
    "train_prompts", "verifier",
}  # fmt: skip


def options() -> dict[str, Field]:
    found = {field.name: field for kind in (JobOptions, HTPOConfig, ModelConfig) for field in fields(kind)}
    return {name: field for name, field in found.items() if name not in ("output_dir", "resume", *SLOW)}


def values(field: Field) -> Iterator[str]:
    """A word that means nothing, and numbers out of range, at their edges and within, by the option's type."""
    kind = str(field.type)
    if "dict" in kind:
        yield '{"nonsense": 1}'
    if "bool" in kind and "str" not in kind:
        yield "false" if field.default is True else "true"
    elif "int" in kind or "float" in kind:
        yield from (value for value in ("-1", "0", "2", "1000", "nan") if (field.name, value) not in ENDLESS)
    yield "nonsense"
    if isinstance(field.default, str) and field.default_factory is MISSING:
        yield field.default


CASES = [(name, value) for name, field in options().items() for value in values(field)]


def test_every_option_is_tried():
    assert len(CASES) > 600
    assert {name for name, _ in CASES} == options().keys()


NAMED_BY_WHAT_IT_LEADS_TO = {
    "per_device_train_batch_size": "generation_batch_size",
    "bf16_full_eval": "bf16",
    "accelerator_config": "AcceleratorConfig",
    "steps_per_generation": "save_steps",
    "num_iterations": "save_steps",
    "objective_options": "objective 'htpo' has no option 'nonsense'",
}


def test_no_value_of_an_option_breaks_the_parsing(tmp_path, monkeypatch):
    """A value is taken, or refused in one line that names its option; nothing is loaded."""
    monkeypatch.setattr("htpo.cli.train._parser", cache(_parser))
    unnamed = []
    for name, value in CASES:
        try:
            parse_train({name: value, "output_dir": str(tmp_path / "run")})
        except UserError as error:
            said = str(error)
            assert "\n" not in said
            if name not in said.replace("-", "_") and NAMED_BY_WHAT_IT_LEADS_TO.get(name, name) not in said:
                unnamed.append((name, value, said))
    assert unnamed == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", options())
def test_no_value_of_an_option_ends_in_a_traceback_or_late(tmp_path, name):
    ended = {}
    for number, value in enumerate(values(options()[name])):
        ended[value] = train_in_a_fork([f"--{name}={value}"], tmp_path / str(number))
    allowed = {"ok", "refused", "late"} if name in LATE else {"ok", "refused"}
    assert {value: outcome for value, outcome in ended.items() if outcome.kind not in allowed} == {}
