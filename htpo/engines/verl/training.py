"""A training by verl's command: data written, the command run and watched, its last checkpoint made a model."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from htpo.engines.engine import Training
from htpo.engines.held_out import AFTER, BEFORE, HeldOutProblems
from htpo.engines.progress import show_values
from htpo.engines.verl.command import Place, environment
from htpo.engines.verl.episode_data import HowPlayed, export_episodes
from htpo.engines.verl.options import VerlOptions
from htpo.engines.verl.overrides import in_shell
from htpo.engines.verl.process import run_verl
from htpo.errors import UserError
from htpo.evaluate import load_model
from htpo.playing.player import Player
from htpo.runs import RunDirectory, write_atomically
from htpo.statistics import PassRates
from htpo.tasks.verl_layout import export_task
from htpo.terminal import progress_bar

CHECKPOINT_BYTES = 16
"""A parameter in a checkpoint: itself, its gradient's two moments, and the model as transformers reads it."""
OF_THE_MODEL = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*.py")


@dataclass
class VerlTraining(Training):
    """A `Training` by verl.

    Args:
        held_out: of the task trained on.
        policy: folder or Hugging Face id.
        command: verl's.
        generations: verl's steps in all.
        size: parameters of the policy.
        played, player: of a task that is an environment: how verl plays it, and what plays it here.
    """

    options: VerlOptions
    held_out: HeldOutProblems
    tokenizer: Any
    policy: str
    place: Place
    command: list[str]
    generations: int
    size: int
    on_cpu: bool
    played: HowPlayed | None = None
    player: Player | None = None

    def __post_init__(self) -> None:
        self.parameters = self.size, self.size
        self.measured = self.held_out.in_words()
        often = self.options.save_steps // self.options.updates_per_generation
        written = 1 if self.options.save_strategy == "no" else self.generations // often + 1
        kept = min(self.options.save_total_limit or written, written)
        self.disk_needed = CHECKPOINT_BYTES * self.size * (kept + 1)

    @property
    def run(self) -> RunDirectory:
        """The run directory."""
        return self.held_out.directory

    def prepared(self) -> str | None:
        self._write_files()
        if not self.options.print_command:
            return None
        return (
            f"{self.place.command.read_text()}\n"
            f"This is {self.place.command}, and the data is written. Run it where verl is installed and this folder "
            f"can be reached. Afterwards `htpo train --resume --output_dir {self.run.path}` makes model/ of its last "
            "checkpoint, and measures it."
        )

    def before(self) -> PassRates | None:
        if self.held_out.why_not is not None:
            return None
        stored = self.run.read_json(BEFORE) if self.held_out.options.resume else None
        return PassRates.from_json(stored) if stored is not None else self._measure(self.policy, "before", BEFORE)

    def train(self, checkpoint: Path | None) -> int:
        self.close()  # processes of an environment: verl has its own
        done = int(checkpoint.name.rsplit("_", 1)[1]) if checkpoint else 0
        if done < self.generations:
            self._run()
        return _updates(self.run.read_metrics())

    def save(self, folder: Path) -> None:
        saved = self.place.checkpoints / f"global_step_{self.generations}" / "actor" / "huggingface"
        weights = [file for pattern in OF_THE_MODEL for file in saved.glob(pattern)]
        if not any(file.suffix == ".safetensors" for file in weights):
            raise UserError(f"verl ended without a model in {saved}: see {self.place.log}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in weights:
            shutil.copy2(file, folder)
        self.tokenizer.save_pretrained(folder)

    def after(self) -> PassRates | None:
        if self.held_out.why_not is not None:
            return None
        return self._measure(str(self.run.path / "model"), "after", AFTER)

    def best(self) -> dict[str, Any] | None:
        return None

    def close(self) -> None:
        if self.player is not None:
            self.player.worlds.close()

    # --- parts -----------------------------------------------------------------------------------------------------

    def _write_files(self) -> None:
        held_out = self.held_out
        if not self.place.data.is_dir():
            if self.played is not None:
                export_episodes(held_out.task, self.played, self.place.data)
            else:
                export_task(held_out.task, held_out.options, self.place.data)
        write_atomically(self.place.command, in_shell(self.command, environment(self.on_cpu)) + "\n")

    def _run(self) -> None:
        updates = self.options.updates_per_generation * self.generations
        records = self.run.read_metrics()
        bar = progress_bar("train", updates, "update", initial=_updates(records))
        seen = len(records)

        def watch() -> None:
            nonlocal seen
            new = self.run.read_metrics()[seen:]
            for record in new:
                show_values(bar, record)
                bar.update(record["step"] - bar.n)
            seen += len(new)

        with bar:
            run_verl(self.command, environment(self.on_cpu), self.place.log, watch)

    def _measure(self, policy: str, when: str, name: str) -> PassRates:
        """Pass rates of a policy that is loaded for this alone, so that verl has the machine's memory."""
        model = load_model(
            policy,
            dtype=torch.float32 if self.on_cpu else "auto",
            trust_remote_code=self.options.trust_remote_code,
        )
        if not self.on_cpu:
            model.to(torch.accelerator.current_accelerator())
        assert isinstance(self.options.chat_template_kwargs, dict | None), "JSON is read when the options are made"
        model.eval()
        progress = f"held-out, {when}"
        if self.player is not None:
            rates = self.held_out.success_rates(
                self.player,
                model,
                self.tokenizer,
                seed=self.options.seed,
                problems=self.held_out.problems,
                progress=progress,
            )
        else:
            rates = self.held_out.pass_rates(
                model,
                self.tokenizer,
                max_tokens=self.options.max_completion_length,
                seed=self.options.seed,
                template_options=self.options.chat_template_kwargs,
                progress=progress,
            )
        del model
        if not self.on_cpu:
            torch.accelerator.empty_cache()
        self.run.write_json(name, rates.to_json())
        return rates


def _updates(records: list[dict[str, Any]]) -> int:
    """Updates that a run has made."""
    return int(records[-1]["step"]) if records else 0
