"""`Recipe`: what the main job needs beside the trainer's and the model's own options."""

from dataclasses import dataclass, field


@dataclass
class Recipe:
    """Data, verifier, evaluation and records of one training run. Every field is an option of `htpo train`."""

    dataset: str = field(
        default="number_path",
        metadata={
            "help": "Built-in puzzles (number_path, countdown, latin_square), a .jsonl/.json/.parquet file, or a "
            "Hugging Face id."
        },
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hugging Face dataset."})
    dataset_split: str = field(default="train", metadata={"help": "Split of a Hugging Face dataset to train on."})
    prompt_column: str = field(default="problem", metadata={"help": "Column of the dataset that holds the prompt."})
    answer_column: str = field(default="answer", metadata={"help": "Column that holds the answer to verify against."})
    prompt_template: str | None = field(
        default=None,
        metadata={"help": "Text around the prompt, with {prompt} in it. Default: asks for the answer in \\boxed{}."},
    )
    verifier: str | None = field(
        default=None, metadata={"help": "How a response is judged: math. Built-in puzzles bring their own."}
    )
    answer_pattern: str | None = field(
        default=None,
        metadata={
            "help": "Regular expression with one group that finds the final answer. Default: the last \\boxed{}."
        },
    )
    eval_dataset: str | None = field(
        default=None, metadata={"help": "Held-out problems (file or id). Default: a share of the dataset is held out."}
    )
    eval_split: str = field(default="test", metadata={"help": "Split of a Hugging Face eval_dataset."})
    train_prompts: int = field(default=4096, metadata={"help": "Prompts to generate for a built-in puzzle."})
    held_out_prompts: int = field(
        default=128, metadata={"help": "Held-out problems measured before and after training; 0 measures nothing."}
    )
    eval_samples: int = field(default=16, metadata={"help": "Samples per held-out problem: the k of pass@k."})
    eval_temperature: float = field(default=1.0, metadata={"help": "Sampling temperature of that measurement."})
    eval_top_p: float = field(default=1.0, metadata={"help": "Nucleus of that measurement."})
    max_prompt_length: int | None = field(
        default=None, metadata={"help": "Refuse a dataset with a longer prompt, in tokens."}
    )
    rollout_every: int = field(
        default=10, metadata={"help": "Record a sample of rollouts, token by token, every so many updates; 0: never."}
    )
    rollouts_kept: int = field(default=32, metadata={"help": "Rollouts in each of those samples at most."})
    resume: bool = field(
        default=False, metadata={"help": "Go on from the last complete checkpoint of the run in output_dir."}
    )
