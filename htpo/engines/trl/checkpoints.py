"""Checkpoints that are there as a whole or not at all."""

import shutil
from pathlib import Path
from typing import Any

from accelerate import PartialState

from htpo.engines.trl.dynamic_sampling import DynamicSampling
from htpo.runs import RunDirectory


class WholeCheckpoints(DynamicSampling):
    """A trainer that writes a checkpoint aside, all processes their parts, and then puts it in its place."""

    def __init__(self, *args: Any, **kwargs: Any):
        self._aside: Path | None = None  # while a checkpoint is being written: the folder that it is made in
        super().__init__(*args, **kwargs)

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._aside is None else str(self._aside)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        run, processes, main = RunDirectory(self.args.output_dir), PartialState(), self.is_world_process_zero()
        if main:
            shutil.rmtree(run.aside, ignore_errors=True)
        processes.wait_for_everyone()
        self._aside = run.aside
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._aside = None
        processes.wait_for_everyone()
        if main:
            run.keep_checkpoint(self.state.global_step, self.args.save_total_limit)
        processes.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(run.checkpoint(self.state.global_step)))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self._aside is None:  # the host sends it on its way while it is still being written
            super()._push_from_checkpoint(checkpoint_folder)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """None once all updates are made: resumed from the last one's checkpoint, the host would make one more."""
        if self.state.global_step >= self.state.max_steps:
            return [], None
        return super().get_batch_samples(epoch_iterator, num_batches, device)
