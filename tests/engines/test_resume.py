"""A resumed run equals the uninterrupted one: prompts, samples, losses, past the first epoch."""

import pytest

from tests.engines.tiny import config, sums_dataset, trainer

TIMINGS = {
    "step_time",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "total_flos",
    "train_loss",
}


def steps(host) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in host.state.log_history if "loss" in row]


@pytest.mark.parametrize("stop", [4, 8, 12])
def test_a_resumed_run_logs_what_the_uninterrupted_one_logs(tiny_model, tmp_path, stop):
    # 24 prompts, 8 a generation, 2 updates each: an epoch is 6 updates, so 12 is an epoch's end and 8 past the first.
    options = {"max_steps": 16, "save_strategy": "steps", "save_steps": 4, "lr_scheduler_type": "constant"}
    whole = trainer(tiny_model, config(tmp_path / "whole", **options), train_dataset=sums_dataset(24))
    whole.train()
    resumed = trainer(tiny_model, config(tmp_path / "whole", **options), train_dataset=sums_dataset(24))
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{stop}"))
    assert steps(resumed) == steps(whole)
    assert len(steps(whole)) == 16


def test_every_epoch_has_an_order_of_its_own(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path), train_dataset=sums_dataset(24))
    sampler = host._get_train_sampler()
    first, again = list(sampler), list(sampler)
    host.state.epoch = 1.0
    second = list(sampler)
    assert first == again
    assert sorted(first) == sorted(second)
    assert first != second
