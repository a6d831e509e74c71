"""Pass rates of a model on problems, without anything stored: what training measures on held-out problems."""

import statistics
from collections import Counter

from htpo.evaluate.answers import Row, answer, numbered
from htpo.evaluate.generators.model import ModelGenerator
from htpo.statistics.pass_rates import PassRates, choose_examples
from htpo.tasks.task import Problems


def measure_pass_rates(
    problems: Problems, generator: ModelGenerator, samples: int, progress: str | None = None
) -> PassRates:
    """Have a model answer every problem `samples` times, and count.

    Args:
        progress: title of a progress bar; None shows none.
    """
    asked, answers = numbered(problems), list[Row]()
    answer(problems, generator, samples, answers.extend, progress=progress)
    places = {number: place for place, number in enumerate(asked)}
    answers.sort(key=lambda row: (places[row["problem"]], row["sample"]))
    right = [row["correct"] for row in answers]
    return PassRates(
        samples=samples,
        correct=tuple(sum(right[start : start + samples]) for start in range(0, len(right), samples)),
        mean_length=statistics.fmean(row["tokens"] for row in answers),
        truncated=1 - statistics.fmean(row["finished"] for row in answers),
        failures=dict(Counter(row["failure"] for row in answers if row["failure"])),
        examples=choose_examples(
            [
                {"prompt": asked[row["problem"]]["prompt"], "response": row["response"], "correct": row["correct"]}
                for row in answers
            ]
        ),
    )
