"""Prompt order that a resumed run can find again."""

from collections.abc import Callable, Iterator

from trl.trainer.utils import RepeatSampler


class EpochSeededRepeatSampler(RepeatSampler):
    """TRL's `RepeatSampler`, its shuffle seeded by (seed, epoch).

    TRL's draws every epoch's order from one generator, which a checkpoint does not hold: after resume, epoch k repeats
    epoch 1's order.
    """

    @classmethod
    def like(cls, sampler: RepeatSampler, epoch: Callable[[], int]) -> "EpochSeededRepeatSampler":
        """The same sampler; `epoch` is asked at the start of every pass."""
        seeded = cls(
            data_source=sampler.data_source,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
        )
        seeded.epoch = epoch
        return seeded

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(self.seed + 1_000_003 * self.epoch())
        return super().__iter__()
