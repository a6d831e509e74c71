"""The training bar."""

import math

from transformers import TrainerCallback

from htpo.terminal import progress_bar

SHOWN = {"accuracy": "accuracy", "entropy": "entropy", "length": "completions/mean_length"}


class ProgressBar(TrainerCallback):
    """One bar over the updates, with accuracy and entropy; replaces the host's bar and its printed logs."""

    def __init__(self):
        self.bar = None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.bar = progress_bar("train", state.max_steps, "update", initial=state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.bar is not None and logs and "accuracy" in logs:
            values = {name: logs.get(key) for name, key in SHOWN.items()}
            known = {name: f"{x:.3g}" for name, x in values.items() if x is not None and math.isfinite(x)}
            self.bar.set_postfix(known, refresh=False)

    def on_step_end(self, args, state, control, **kwargs):
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args, state, control, **kwargs):
        if self.bar is not None:
            self.bar.close()
