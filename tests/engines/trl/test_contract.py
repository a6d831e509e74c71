"""The installed TRL does what we build on, and one that does something else is refused with a line that says what."""

import inspect
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trl
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from htpo.engines.trl import contract
from htpo.errors import UserError
from tests.engines.tiny import config, trainer

STOCK = textwrap.dedent(inspect.getsource(GRPOTrainer._compute_loss))
BEFORE = "    # Compute the per-token log probabilities for the model\n"
NORMALISER = 'normalizer = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes'
CHANGES = {
    "advantages early": (
        [
            (BEFORE, '    advantages = inputs["advantages"]\n'),
            ('    advantages = inputs["advantages"]\n    # In', "    # In"),
        ],
        "its loss reads the advantages before the forward pass",
    ),
    "old log-probabilities early": (
        [
            (BEFORE, '    old_per_token_logps = inputs.get("old_per_token_logps")\n'),
            ('    old_per_token_logps = inputs.get("old_per_token_logps")\n    old', "    old"),
        ],
        "its loss reads the old log-probabilities before the forward pass",
    ),
    "a copy of the inputs": (
        [(BEFORE, "    inputs = dict(inputs)\n")],
        "its loss reads the advantages and old log-probabilities before the forward pass",
    ),
    "another clip": (
        [("1 - self.epsilon_low, 1 + self.epsilon_high)\n", "1 - self.args.epsilon, 1 + self.args.epsilon)\n")],
        "its loss clips the ratio though epsilon_low and epsilon_high are infinite",
    ),
    "another normaliser": (
        [(NORMALISER, NORMALISER + " * 2")],
        "its loss is normalised in another way: it is 0.5 times",
    ),
    "another mask": (
        [('completion_mask * inputs["tool_mask"]', "completion_mask")],
        "its loss counts tokens that the policy did not sample",
    ),
    "another loss": (
        [("coef_1 = torch.exp(log_importance_weights)", "coef_1 = torch.exp(2 * log_importance_weights)")],
        "the gradient of its loss is not -A r",
    ),
    "another value": ([("    return loss\n", "    return loss + 1\n")], "the value of its loss is not the sum of -A r"),
    "another name": (
        [('inputs["num_items_in_batch"]', 'inputs["tokens"]')],
        r"its loss cannot be computed \(KeyError: 'tokens'\)",
    ),
    "another metric": (
        [('self._metrics[mode]["entropy"]', 'self._metrics[mode]["policy/entropy"]')],
        "its loss does not log the mean entropy as 'entropy'",
    ),
}


def changed(replacements) -> Callable:
    """TRL's loss with some of its text replaced."""
    source = STOCK
    for old, new in replacements:
        assert old in source
        source = source.replace(old, new)
    names = {}
    exec(source, dict(vars(grpo_trainer)), names)
    return names["_compute_loss"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_trl_whose_loss_does_something_else_is_refused_with_one_line(tiny_model, tmp_path, monkeypatch, name):
    replacements, said = CHANGES[name]
    monkeypatch.setattr(GRPOTrainer, "_compute_loss", changed(replacements))
    with pytest.raises(UserError, match=f"htpo does not work with TRL {trl.__version__}: {said}.*") as raised:
        trainer(tiny_model, config(tmp_path, objective="dapo"))
    assert str(raised.value).endswith(f"; it works with TRL {contract.WORKING_TRL} (pip install trl==1.16.0)")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("objective", ["dapo", "grpo", "dr_grpo"])
@pytest.mark.parametrize("options", [{}, {"beta": 0.1, "per_device_train_batch_size": 4, "entropy_coef": 0.01}])
def test_the_installed_trl_is_accepted_at_once_and_nothing_is_left_behind(tiny_model, tmp_path, objective, options):
    host = trainer(tiny_model, config(tmp_path, objective=objective, **options))
    before = {name: repr(value) for name, value in vars(host).items() if name not in ("model", "_sums")}
    start = time.perf_counter()
    contract.check_loss(host)
    assert time.perf_counter() - start < 0.5  # measured: 2 ms
    assert {name: repr(value) for name, value in vars(host).items() if name not in ("model", "_sums")} == before


def test_the_correction_for_vllm_is_tried_where_it_is_on(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path))
    host.use_vllm = True
    contract.check_loss(host)
    host.vllm_importance_sampling_correction = True
    contract.check_loss(host)


def test_a_trl_without_a_parameter_we_use_is_refused_with_its_name(monkeypatch):
    monkeypatch.setitem(contract.NEEDED_PARAMETERS, GRPOTrainer._calculate_rewards, ["inputs", "rollouts"])
    with pytest.raises(UserError, match="its GRPOTrainer._calculate_rewards takes no rollouts; it works with TRL 1"):
        contract.check_trl()


def test_the_version_said_to_work_is_the_one_tested():
    pinned = (Path(__file__).parents[3] / "constraints.txt").read_text()
    assert re.search(r"^trl==(.*)$", pinned, re.MULTILINE)[1] == contract.WORKING_TRL
