"""What the host calls after every update: metrics and the bar on the terminal."""

from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from htpo.engines.progress import show_values
from htpo.runs import RunDirectory
from htpo.terminal import progress_bar


class MetricsWriter(TrainerCallback):
    """Appends every log of the trainer to the run's `metrics.jsonl` (main process), and has the last update logged."""

    def __init__(self, run: RunDirectory):
        self.run = run

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            self.run.append_metrics({"step": state.global_step, **logs})
        state.log_history.clear()  # the host would write all of it into every checkpoint


class ProgressBar(TrainerCallback):
    """One bar over the updates, with accuracy and entropy; replaces the host's bar and its printed logs."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.bar = progress_bar("train", state.max_steps, "update", initial=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if self.bar is not None and logs and "accuracy" in logs:
            show_values(self.bar, logs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()
