"""The job runs any engine that does what `Engine` says."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from htpo.engines.batch_shape import BatchShape
from htpo.engines.engine import ENGINES, Engine, Training, engine_class
from htpo.engines.job import Job
from htpo.engines.job_options import JobOptions
from htpo.errors import UserError
from htpo.evaluate import load_tokenizer
from htpo.objectives import make_objective
from htpo.runs import RunDirectory
from htpo.statistics import PassRates


class ToyTraining(Training):
    parameters = (1000, 10)
    measured = "two problems"
    disk_needed = 0

    def __init__(self, run: RunDirectory):
        self.run, self.closed, self.checkpoints = run, False, []

    def before(self):
        return PassRates(2, (0, 1), mean_length=1.0, truncated=0.0, failures={}, examples=())

    def train(self, checkpoint):
        self.checkpoints.append(checkpoint)
        self.run.append_metrics({"step": 3, "accuracy": 0.5})
        return 3

    def save(self, folder: Path):
        folder.mkdir()

    def after(self):
        return self.before()

    def best(self):
        return None

    def close(self):
        self.closed = True


@dataclass
class ToyEngine(Engine):
    """Learns nothing."""

    OPTIONS: ClassVar[tuple[type, ...]] = ()
    output_dir: str
    prompts: int = 4

    def __post_init__(self):
        self.objective = make_objective("dapo")
        self.main, self.processes, self.policy, self.seed, self.template_options = True, 1, None, 0, None
        self.batch_shape = BatchShape(
            self.prompts, 2, updates=1, processes=1, micro_batches=1, micro_batch=8, max_tokens=5
        )
        self.max_rounds = self.overlong_buffer = 0

    def refuse_unavailable(self):
        pass

    def remarks(self):
        return ["a toy"]

    def load_tokenizer(self, policy):
        return load_tokenizer(policy)

    def prepare(self, options, policy, task, tokenizer, run):
        self.training = ToyTraining(run)
        return self.training


def job(engine: ToyEngine) -> Job:
    return Job(JobOptions(train_prompts=16, held_out_prompts=4), engine, {"objective": "dapo"}, Console(quiet=True))


def test_a_job_trains_and_writes_a_run_with_an_engine_that_it_knows_nothing_of(tmp_path):
    engine = ToyEngine(str(tmp_path / "run"))
    summary = job(engine).run()
    run = RunDirectory(tmp_path / "run")
    assert run.read_json("summary.json")["updates"] == summary["updates"] == 3
    assert summary["pass@1"] == [0.25, 0.25]
    plan = run.read_json("plan.json")
    assert plan["policy"] == "built-in number_path policy (1,000 parameters, 10 trained)"
    assert plan["batch"] == "4 prompts x 2 samples -> 1 updates of 8 sequences, at most 40 tokens each"
    assert (plan["held-out"], plan["dynamic sampling"]) == ("two problems", "off; soft overlong punishment off")
    assert (engine.training.checkpoints, engine.training.closed) == ([None], True)
    assert (run.path / "model").is_dir()


def test_data_with_too_few_prompts_for_a_batch_is_refused(tmp_path):
    with pytest.raises(UserError, match="16 prompts to train on but a generation batch needs 17"):
        job(ToyEngine(str(tmp_path / "run"), prompts=17)).run()


def test_every_engine_registered_is_one():
    for name in ENGINES:
        assert Engine in engine_class(name).__mro__
