"""Which checkpoints a process reads; as a program: `python -m tests.faults.checkpoint_reads FILE htpo ARGUMENTS`."""

import sys
from pathlib import Path

from htpo.runs import directory


def note_reads(file: Path) -> None:
    """Have this process add the name of each checkpoint that it reads from end to end to a file, a line each."""
    fault_of = directory.fault_of

    def noted(checkpoint: Path) -> str | None:
        with file.open("a") as lines:
            lines.write(checkpoint.name + "\n")
        return fault_of(checkpoint)

    directory.fault_of = noted


def flip_a_bit(file: Path) -> None:
    """Damage a file as a bad disk does."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


if __name__ == "__main__":
    from htpo.cli import main

    note_reads(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    main()
