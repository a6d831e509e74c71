"""The kinds of `--dataset`: what labels each takes, which options have an effect on it, and how it is loaded.

To add a kind, write a module with a subclass of `GeneratedSource` or `ReadSource`, and add the class to `SOURCES`.
"""

from htpo.tasks.sources.benchmarks import Benchmarks
from htpo.tasks.sources.files import File
from htpo.tasks.sources.hub import Hub
from htpo.tasks.sources.puzzles import Puzzles
from htpo.tasks.sources.reasoning_gym import ReasoningGym
from htpo.tasks.sources.source import Source

SOURCES: tuple[type[Source], ...] = (
    Puzzles,
    ReasoningGym,
    Benchmarks,
    File,
    Hub,
)
"""In the order in which they are asked for a label; the last takes every one."""
