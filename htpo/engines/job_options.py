"""`JobOptions`: what a training job needs beside the trainer's and the model's own options."""

from dataclasses import dataclass, field

from htpo.engines.episode_options import TaskOptions


@dataclass
class JobOptions(TaskOptions):
    """Data, verifier, evaluation and records of one training run. Every field is an option of `htpo train`."""

    eval_samples: int = field(default=16, metadata={"help": "Samples per held-out problem: the k of pass@k."})
    eval_temperature: float = field(default=1.0, metadata={"help": "Sampling temperature of that measurement."})
    eval_top_p: float = field(default=1.0, metadata={"help": "Nucleus of that measurement."})
    eval_every: int = field(
        default=0,
        metadata={
            "help": "Measure the held-out problems after every so many updates, too, and keep the policy with the "
            "highest pass@1 in best/; 0: before and after training only."
        },
    )
    max_prompt_length: int | None = field(
        default=None, metadata={"help": "Refuse a dataset with a longer prompt, in tokens."}
    )
    filter_overlong_prompts: bool = field(
        default=False,
        metadata={"help": "Leave out prompts longer than max_prompt_length, and say how many, instead of refusing."},
    )
    rollout_every: int = field(
        default=10, metadata={"help": "Record a sample of rollouts, token by token, every so many updates; 0: never."}
    )
    rollouts_kept: int = field(default=32, metadata={"help": "Rollouts in each of those samples at most."})
    report: bool = field(
        default=True, metadata={"help": "End by writing report.html, as `htpo report RUN` does at any time."}
    )
    resume: bool = field(
        default=False, metadata={"help": "Go on from the last complete checkpoint of the run in output_dir."}
    )
