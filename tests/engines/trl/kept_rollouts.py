"""A training of a few updates whose rollouts are kept."""

from transformers import AutoTokenizer

from htpo.engines.judging import Judge
from htpo.engines.trl.rollout_writer import RolloutWriter
from htpo.engines.trl.verifier_reward import correct
from htpo.runs import RunDirectory
from htpo.verifiers import Verdict
from tests.engines.tiny import config, scripted_rollouts, sums_dataset, trainer


class LastSign:
    """Judges by the last sign of a response, which is what it extracts."""

    def judge(self, responses, rows):
        return [
            Verdict(ord(text[-1]) % 2 == 0, extracted=text[-1], failure=None if text[-1].isdigit() else "unparsable")
            for text in responses
        ]

    def close(self):
        pass


def train_and_keep(model_path: str, folder, kept: int = 32, **options) -> RunDirectory:
    """Two updates of 8 prompts x 4 samples each, in micro-batches of 4; every prompt is drawn once."""
    run = RunDirectory(folder)
    run.path.mkdir(exist_ok=True)
    data = sums_dataset(16).add_column("answer", [str(2 * number) for number in range(16)])
    options = {
        "per_device_train_batch_size": 4,
        "prompts_per_generation": 8,
        "updates_per_generation": 1,
        "max_steps": 2,
        "dynamic_sampling": False,
    } | options
    host = trainer(
        model_path,
        config(folder / "host", **options),
        correct,
        judge=Judge(LastSign()),
        rollout_func=scripted_rollouts,
        train_dataset=data,
        rollout_recorder=RolloutWriter(run, AutoTokenizer.from_pretrained(model_path), 1, kept, seed=7),
    )
    host.train()
    return run
