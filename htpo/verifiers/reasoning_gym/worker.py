"""The worker program behind `ReasoningGymVerifier`; see `htpo.workers.program`."""

import json
from functools import lru_cache
from typing import Any

from htpo.workers.program import serve


@lru_cache(maxsize=64)
def _dataset(generator: str, settings: str, size: int, seed: int) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(generator, size=size, seed=seed, **json.loads(settings))


@lru_cache(maxsize=4096)
def _entry(generator: str, settings: str, size: int, seed: int, index: int) -> Any:
    return _dataset(generator, settings, size, seed)[index]


def score(generator: str, settings: str, size: int, seed: int, index: int, answer: str) -> float:
    """The generator's score, usually from 0 to 1, of an answer to the puzzle at `index` of what the seed makes.

    The puzzle is made again rather than sent: its metadata may hold what JSON does not know.
    """
    dataset = _dataset(generator, settings, size, seed)
    return float(dataset.score_answer(answer, _entry(generator, settings, size, seed, index)))


def warm_up() -> None:
    """Import before the first time-out counts."""
    import reasoning_gym  # noqa: F401


if __name__ == "__main__":
    serve({"score": score}, warm_up)
