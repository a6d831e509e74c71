"""What must not grow with the number of updates."""

import pytest
from peft import LoraConfig

from htpo.engines.trl.callbacks import MetricsWriter
from htpo.runs import RunDirectory
from tests.engines.tiny import config, trainer


def hooks(host) -> int:
    return sum(len(module._forward_hooks) for module in host.model.modules())


@pytest.mark.parametrize("adapter", [None, LoraConfig(target_modules=["q_proj"])], ids=["whole model", "adapter"])
def test_gradient_checkpointing_leaves_one_hook_however_many_rounds_are_generated(tiny_model, tmp_path, adapter):
    host = trainer(tiny_model, config(tmp_path, gradient_checkpointing=True, max_steps=4), peft_config=adapter)
    seen, generate = [], host._generate_round
    host._generate_round = lambda *round_: (generate(*round_), seen.append(hooks(host)))[0]
    host.train()
    assert len(seen) >= 2
    assert {*seen, hooks(host)} == {1}


def test_gradient_checkpointing_changes_no_number(tiny_model, tmp_path):
    def logged(checkpointing):
        host = trainer(tiny_model, config(tmp_path, gradient_checkpointing=checkpointing, max_steps=4))
        host.train()
        return [(log["loss"], log["grad_norm"], log["entropy"]) for log in host.state.log_history[:-1]]

    assert logged(True) == [pytest.approx(log, rel=1e-4) for log in logged(False)]


def test_a_checkpoint_does_not_hold_the_metrics_of_all_updates_before_it(tiny_model, tmp_path):
    run = RunDirectory(tmp_path)
    args = config(tmp_path, max_steps=4, save_strategy="steps", save_steps=4)
    trainer(tiny_model, args, callbacks=[MetricsWriter(run)]).train()
    assert run.read_json("checkpoint-4/trainer_state.json")["log_history"] == []
    assert [record["step"] for record in run.read_metrics()] == [1, 2, 3, 4]
