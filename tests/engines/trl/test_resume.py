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


DRAWING = {"share": 0.1, "low": 0.01}
SAMPLING_POLICY = {"entropy_of": "old", "objective_options": {"entropy_scope": "batch"}}


def steps(host) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in host.state.log_history if "loss" in row]


@pytest.mark.parametrize(
    ("stops", "objective"),
    [
        ((4, 8, 12), {}),
        ((8,), {"objective": "clip_cov", "objective_options": DRAWING}),
        ((8,), SAMPLING_POLICY),
    ],
)
def test_a_resumed_run_logs_what_the_uninterrupted_one_logs(tiny_model, tmp_path, stops, objective):
    # 24 prompts, 8 a generation, 2 updates each: an epoch is 6 updates, so 12 is an epoch's end and 8 past the first.
    last = max(stops) + 2
    options = {"max_steps": last, "save_strategy": "steps", "save_steps": 4, "lr_scheduler_type": "constant"}

    def run(checkpoint=None):
        host = trainer(tiny_model, config(tmp_path, **options | objective), train_dataset=sums_dataset(24))
        host.train(resume_from_checkpoint=checkpoint)
        return steps(host)

    whole = run()
    assert len(whole) == last
    for stop in stops:
        assert run(str(tmp_path / f"checkpoint-{stop}")) == whole


@pytest.mark.parametrize("objective", [{}, SAMPLING_POLICY], ids=["", "by the sampling policy"])
def test_groups_left_over_are_in_the_checkpoint(tiny_model, tmp_path, objective):
    def mixed_for_two_in_three(completions, number, **kwargs):
        return [float(index % 4 == 0 and n % 3 != 1) for index, n in enumerate(number)]

    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "lr_scheduler_type": "constant"} | objective

    def run(checkpoint=None):
        host = trainer(tiny_model, config(tmp_path / "run", **options), mixed_for_two_in_three)
        host.train(resume_from_checkpoint=checkpoint)
        return host

    whole = run()
    taken = {record["step"]: record["sampling/groups_from_surplus"] for record in steps(whole)}
    stop = next(step for step in range(2, 6, 2) if taken[step + 1] > 0)
    checkpoint = tmp_path / "run" / f"checkpoint-{stop}"
    assert (checkpoint / "surplus-0.safetensors").is_file()
    assert steps(run(str(checkpoint))) == steps(whole)
    (checkpoint / "surplus-0.safetensors").unlink()
    assert steps(run(str(checkpoint))) != steps(whole)


def test_every_epoch_has_an_order_of_its_own(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path), train_dataset=sums_dataset(24))
    sampler = host._get_train_sampler()
    first, again = list(sampler), list(sampler)
    host.state.epoch = 1.0
    second = list(sampler)
    assert first == again
    assert sorted(first) == sorted(second)
    assert first != second
