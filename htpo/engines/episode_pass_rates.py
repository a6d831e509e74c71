"""Success of a policy at hand on tasks of an environment, without anything stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from transformers import PreTrainedModel

from htpo.evaluate import SamplingOptions
from htpo.evaluate.generators.sampling import sampling_settings
from htpo.evaluate.generators.turn_sampler import play_together
from htpo.evaluate.generators.vocabulary import derived_seed
from htpo.playing.player import EpisodeRow, Player
from htpo.playing.verdicts import EPISODE, EpisodeVerifier
from htpo.statistics import PassRates
from htpo.statistics.pass_rates import choose_examples
from htpo.terminal import progress_bar


def measure_episodes(
    player: Player,
    model: PreTrainedModel,
    tokenizer: Any,
    tasks: Sequence[Mapping[str, Any]],
    samples: int,
    sampling: SamplingOptions,
    *,
    batch_size: int,
    progress: str | None = None,
) -> PassRates:
    """Have a model play every task `samples` times, and count.

    Args:
        sampling: of a turn; its seed is also the environment's.
        batch_size: episodes played at once.
        progress: title of a progress bar; None shows none.
    """
    settings = sampling_settings(model, tokenizer, sampling)
    asked = [task for task in tasks for _ in range(samples)]
    rows: list[EpisodeRow] = []
    bar = progress_bar(progress, len(asked), "episode") if progress else None
    for start in range(0, len(asked), batch_size):
        batch = asked[start : start + batch_size]
        seed = derived_seed(sampling.seed, "episodes", batch_size, start)
        rows += play_together(player, model, settings, batch, environment_seed=sampling.seed, seed=seed)
        if bar is not None:
            bar.update(len(batch))
    if bar is not None:
        bar.close()
    verdicts = EpisodeVerifier().judge([""] * len(rows), [{EPISODE: row} for row in rows])
    right = [verdict.correct for verdict in verdicts]
    return PassRates(
        samples=samples,
        correct=tuple(sum(right[start : start + samples]) for start in range(0, len(right), samples)),
        mean_length=fmean(sum(row.sampled) for row in rows),
        truncated=fmean(row.overflowed for row in rows),
        failures=dict(Counter(verdict.failure for verdict in verdicts if verdict.failure)),
        examples=choose_examples(
            [
                {
                    "prompt": tokenizer.decode(row.prompt, skip_special_tokens=True),
                    "response": tokenizer.decode(row.response, skip_special_tokens=True),
                    "correct": correct,
                }
                for row, correct in zip(rows, right, strict=True)
            ]
        ),
    )
