"""DAPO's dynamic sampling (2503.14476, section 3.2): only prompts with both right and wrong answers make a batch.

A batch is a row of positions, one per prompt group. A group without signal leaves its position open, and the next
round offers fresh groups. Rows never travel between processes: a fresh group can take an open position if its rows lie
on the same processes. Groups with a signal that find no place are kept for the next batch, with the log-probabilities
of the policy that sampled them. Every process sees the same verdicts and so takes the same decisions.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from htpo.engines.rewards import NO_SIGNAL


@dataclass
class Filling:
    """Which generated group fills which position of the batch."""

    positions: int  # prompt groups in the batch, over all processes
    group_size: int
    local_rows: int  # rows of the batch on each process
    source: dict[int, tuple[int, int]] = field(default_factory=dict)  # position -> (round, group of that round)
    rounds: list[int] = field(default_factory=list)  # local rows generated in each round
    drawn: int = 0  # groups generated for this batch
    taken: int = 0  # groups that the batch before had left over
    surplus: list[tuple[int, int]] = field(default_factory=list)  # (round, group) with signal but without a place
    dropped: Counter[str] = field(default_factory=Counter)  # groups without signal, by the reason

    @property
    def missing(self) -> dict[tuple[int, ...], list[int]]:
        """Open positions by the processes their rows lie on."""
        open_positions = defaultdict(list)
        for position in range(self.positions):
            if position not in self.source:
                open_positions[self._processes(position, self.local_rows)].append(position)
        return open_positions

    @property
    def processes(self) -> int:
        """Number of processes."""
        return self.positions * self.group_size // self.local_rows

    @property
    def full(self) -> bool:
        """Whether every position is filled."""
        return len(self.source) == self.positions

    def take_surplus(self, local_rows: int) -> None:
        """Take the groups that the batch before had left over, as a round of their own."""
        self.taken = local_rows // self.group_size * self.processes
        self.place([True] * self.taken, local_rows)

    def offer(self, reasons: list[str | None], local_rows: int) -> None:
        """Take what a round gave: of each group, in order over all processes, why it has no signal, or None."""
        self.count(reasons)
        self.place([reason is None for reason in reasons], local_rows)

    def count(self, reasons: list[str | None]) -> None:
        """Count prompts that were drawn: why each has no signal, or None."""
        self.drawn += len(reasons)
        self.dropped.update(reason for reason in reasons if reason is not None)

    def place(self, usable: list[bool], local_rows: int) -> None:
        """Find places for a round's groups, in order over all processes."""
        open_positions = self.missing
        for group in (group for group, good in enumerate(usable) if good):
            takers = open_positions[self._processes(group, local_rows)]
            if takers:
                self.source[takers.pop(0)] = (len(self.rounds), group)
            else:
                self.surplus.append((len(self.rounds), group))
        self.rounds.append(local_rows)

    def next_rows(self, exact: bool = False) -> int:
        """Local rows to generate next: enough groups for the emptiest process at the share kept so far.

        Args:
            exact: no more than are missing, so that none can be left over.
        """
        if self.local_rows % self.group_size:
            return self.local_rows
        most = max(len(positions) for positions in self.missing.values())
        kept = 1 if exact else max(1 - self.dropped.total() / self.drawn, 0.1)
        return min(math.ceil(most / kept) * self.group_size, self.local_rows)

    def whole_round(self, prompts: Iterator[int], local_rows: int) -> list[int]:
        """The next prompts for a round of `local_rows` on every process; where they run out, fewer that divide."""
        drawn = list(islice(prompts, local_rows * self.processes // self.group_size))
        if len(drawn) * self.group_size == local_rows * self.processes:
            return drawn
        straddling = self.local_rows % self.group_size
        return [] if straddling else drawn[: len(drawn) // self.processes * self.processes]

    def local_surplus(self, process: int) -> list[tuple[int, int]]:
        """The (round, local row) of groups left over on this process: as many as on the process with the fewest."""
        by_process = defaultdict(list)
        for number, group in self.surplus:
            processes = self._processes(group, self.rounds[number])
            if len({*processes}) == 1:
                by_process[processes[0]].append((number, group))
        fewest = min(len(by_process[each]) for each in range(self.processes))
        return [
            (number, group * self.group_size + sample - process * self.rounds[number])
            for number, group in by_process[process][:fewest]
            for sample in range(self.group_size)
        ]

    def local_sources(self, process: int) -> list[tuple[int, int] | None]:
        """For each row of this process's batch, the (round, local row) it comes from; None where nothing came."""
        sources: list[tuple[int, int] | None] = []
        for row in range(process * self.local_rows, (process + 1) * self.local_rows):
            position, sample = divmod(row, self.group_size)
            if position not in self.source:
                sources.append(None)
                continue
            number, group = self.source[position]
            sources.append((number, group * self.group_size + sample - process * self.rounds[number]))
        return sources

    def _processes(self, group: int, local_rows: int) -> tuple[int, ...]:
        return tuple((group * self.group_size + sample) // local_rows for sample in range(self.group_size))


def unfilled_in_words(filling: Filling, rounds: int, max_rounds: int) -> str:
    """Why places stayed open, and what would help."""
    open_positions = filling.positions - len(filling.source)
    dropped = filling.dropped
    why = " and ".join(f"{dropped[name]} {says}" for name, says in NO_SIGNAL.items() if dropped[name])
    stopped = f"after {rounds} rounds"
    if rounds < max_rounds:
        stopped += " (no prompt of the data is left to try)"
    remedies = "Easier or harder prompts, more samples per prompt or a larger max_generation_rounds would help."
    most, _ = dropped.most_common(1)[0]
    if most == "cut_off":
        remedies = "A larger max_completion_length would help; check that the model ends its answers at all."
    elif most == "unscored":
        remedies = "See to the reward function first."
    return (
        f"Dynamic sampling stopped {stopped} with {open_positions} of {filling.positions} places open: "
        f"of {filling.drawn} prompts drawn, {why}. Training goes on with the rest; the share filled is logged as "
        f"sampling/filled_share. {remedies}"
    )
