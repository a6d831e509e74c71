"""How a generation batch is cut into updates and micro-batches, in the field's words."""

from dataclasses import dataclass

from htpo.errors import UserError


@dataclass(frozen=True)
class BatchShape:
    """A generation batch, over all processes, and the updates made of it."""

    prompts: int
    samples: int  # responses to each prompt
    updates: int  # optimiser updates between two generations
    processes: int
    micro_batches: int  # of each update, on every process
    micro_batch: int  # responses in one
    max_tokens: int | None  # of a response; None: no such limit

    @property
    def sequences(self) -> int:
        """Responses in an update."""
        return self.processes * self.micro_batches * self.micro_batch

    def in_words(self) -> str:
        """The batch as "N prompts x G samples -> M updates of K sequences"."""
        words = f"{self.prompts} prompts x {self.samples} samples -> {self.updates} updates of {self.sequences} "
        words += "sequences"
        if self.max_tokens is not None:
            words += f", at most {self.sequences * self.max_tokens:,} tokens each"
        if self.micro_batches > 1 or self.processes > 1:
            words += (
                f" ({self.processes} processes x {self.micro_batches} micro-batches x {self.micro_batch} sequences)"
            )
        return words


def cut_update(sequences: int, *, updates: int, processes: int, fits: int) -> tuple[int, int]:
    """How each update's share of a generation batch is cut on every process.

    Args:
        sequences: responses in the generation batch, over all processes.
        fits: sequences in a micro-batch at most.

    Returns:
        (sequences per micro-batch, micro-batches per update).

    Raises:
        UserError: the sequences do not divide into updates and processes.
    """
    share, rest = divmod(sequences, updates * processes)
    if rest or share == 0:
        raise UserError(
            f"a generation batch of {sequences} sequences (prompts_per_generation x num_generations) does not divide "
            f"into {updates} updates_per_generation x {processes} processes: change one of them"
        )
    micro_batch = next(size for size in range(min(fits, share), 0, -1) if share % size == 0)
    return micro_batch, share // micro_batch
