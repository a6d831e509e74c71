"""An engine of one's own, in plain PyTorch: `python examples/own_engine.py` (a minute on a CPU).

A job brings the data, the verifier, the plan, the run directory, its figure and the summary; the engine brings the
policy and its training. This one makes one update per generation, on one device, and has neither dynamic sampling nor
checkpoints.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from rich.console import Console
from transformers import AutoModelForCausalLM

from htpo.engines.batch_shape import BatchShape
from htpo.engines.engine import Engine, Training
from htpo.engines.job import Job
from htpo.engines.job_options import JobOptions
from htpo.evaluate import ModelGenerator, SamplingOptions, end_tokens, load_tokenizer, measure_pass_rates
from htpo.objectives import TokenBatch, group_relative_advantage, make_objective
from htpo.runs import RunDirectory
from htpo.statistics import PassRates
from htpo.tasks import Task
from htpo.tasks.task import Problems
from htpo.verifiers.verdict import judge_finished


@dataclass
class PlainOptions:
    """Every field is an option of `htpo train`."""

    output_dir: str
    objective: str = field(default="htpo", metadata={"help": "Name of the objective."})
    model_name_or_path: str | None = None
    prompts_per_generation: int = 16
    num_generations: int = 8
    max_completion_length: int = 32
    max_steps: int = 20
    learning_rate: float = 4e-4
    seed: int = 0


@dataclass
class PlainEngine(Engine):
    """An `Engine`: the options, checked, and what a job asks of them."""

    OPTIONS: ClassVar[tuple[type, ...]] = (PlainOptions,)
    config: PlainOptions

    def __post_init__(self) -> None:
        config = self.config
        self.objective = make_objective(config.objective)
        self.main, self.processes, self.template_options = True, 1, None
        self.policy, self.output_dir, self.seed = config.model_name_or_path, config.output_dir, config.seed
        prompts, samples = config.prompts_per_generation, config.num_generations
        self.batch_shape = BatchShape(prompts, samples, 1, 1, 1, prompts * samples, config.max_completion_length)
        self.max_rounds = self.overlong_buffer = 0

    def refuse_unavailable(self) -> None:
        """Nothing is asked of the machine."""

    def remarks(self) -> list[str]:
        """What of the objective it leaves out."""
        left = {
            "dynamic sampling": self.objective.dynamic_sampling,
            "overlong punishment": self.objective.overlong_shaping,
        }
        return [f"this engine has no {name}" for name, published in left.items() if published]

    def load_tokenizer(self, policy: str) -> Any:
        return load_tokenizer(policy)

    def prepare(
        self, options: JobOptions, policy: str, task: Task, tokenizer: Any, run: RunDirectory
    ) -> "PlainTraining":
        return PlainTraining(self, options, AutoModelForCausalLM.from_pretrained(policy), task, tokenizer, run)


@dataclass
class PlainTraining(Training):
    """A `Training`."""

    engine: PlainEngine
    options: JobOptions
    model: Any
    task: Task
    tokenizer: Any
    run: RunDirectory
    disk_needed = 0

    def __post_init__(self) -> None:
        size = sum(parameter.numel() for parameter in self.model.parameters())
        self.parameters, self.measured = (size, size), "held-out problems, before and after"

    def train(self, checkpoint: Path | None) -> int:
        config = self.engine.config
        torch.manual_seed(config.seed)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.learning_rate)
        rows = self.task.train.shuffle(seed=config.seed).to_list()
        for step in range(1, config.max_steps + 1):
            start = (step - 1) * config.prompts_per_generation
            drawn = [rows[i % len(rows)] for i in range(start, start + config.prompts_per_generation)]
            batch = self._generate(drawn, config.num_generations, config.max_completion_length)
            out = self.engine.objective(batch)
            self.engine.objective.aggregate(-out.value, batch.mask).backward()
            optimizer.step()
            optimizer.zero_grad()
            stats = {name: float(value) for name, value in out.stats.items()}
            self.run.append_metrics({"step": step, "accuracy": float(batch.correct.float().mean()), **stats})
        return config.max_steps

    def _generate(self, rows: list[dict[str, Any]], samples: int, limit: int) -> TokenBatch:
        """Responses to the rows' prompts, judged, and scored under the policy that sampled them."""
        asked = self.tokenizer([row["prompt"] for row in rows], padding=True, return_tensors="pt")
        ids = self.model.generate(**asked, do_sample=True, top_k=0, num_return_sequences=samples, max_new_tokens=limit)
        start = asked["input_ids"].shape[1]
        response = ids[:, start:]
        ends = torch.isin(response, torch.tensor(sorted(end_tokens(self.model, self.tokenizer))))
        mask = ends.cumsum(1) - ends.int() == 0  # up to the first end, and that
        texts = self.tokenizer.batch_decode(response, skip_special_tokens=True)
        rows = [row for row in rows for _ in range(samples)]
        verdicts = judge_finished(self.task.verifier, texts, rows, ends.any(1).tolist())
        correct = torch.tensor([verdict.correct for verdict in verdicts])
        seen = torch.cat([asked["attention_mask"].repeat_interleave(samples, 0), mask.long()], 1)
        log_probs = self.model(ids, attention_mask=seen).logits[:, start - 1 : -1].log_softmax(-1)
        log_prob = log_probs.gather(-1, response.unsqueeze(-1)).squeeze(-1)
        return TokenBatch(
            log_prob=log_prob,
            old_log_prob=log_prob.detach(),
            advantage=group_relative_advantage(correct.float(), samples),
            entropy=-(log_probs.exp() * log_probs).sum(-1),
            mask=mask,
            correct=correct,
            group_accuracy=correct.float().view(-1, samples).mean(1).repeat_interleave(samples),
        )

    def before(self) -> PassRates | None:
        sampling = SamplingOptions(top_p=1.0, max_tokens=self.engine.config.max_completion_length)
        task = self.task
        problems = Problems(task.name, task.held_out, task.verifier, task.description)
        generator = ModelGenerator(self.model, self.tokenizer, sampling)
        return measure_pass_rates(problems, generator, self.options.eval_samples)

    after = before

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def best(self) -> dict[str, Any] | None:
        return None

    def close(self) -> None:
        """Nothing is held."""


def main(updates: int = 60) -> dict[str, Any]:
    """Train on number paths; returns the job's summary."""
    with TemporaryDirectory() as folder:
        data = JobOptions(dataset=["number_path"], train_prompts=1000, held_out_prompts=32, eval_samples=8)
        engine = PlainEngine(PlainOptions(output_dir=f"{folder}/run", max_steps=updates))
        return Job(data, engine, resolved={}, console=Console()).run()


if __name__ == "__main__":
    main()
