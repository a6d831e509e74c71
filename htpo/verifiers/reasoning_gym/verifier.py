"""Judging answers to puzzles of reasoning-gym (2505.24760) by the generator's own scorer, in worker processes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from htpo.verifiers.reasoning_text import answer_part
from htpo.verifiers.verdict import Verdict
from htpo.workers.pool import WorkerPool

OPENING, CLOSING = "<answer>", "</answer>"
CHUNK = 64  # puzzles made with one seed
FULL_SCORE = 0.999


def last_answer(response: str) -> str | None:
    """What stands in the last `<answer>` tag, None when there is none or it is not closed."""
    _, opened, rest = response.rpartition(OPENING)
    answer, closed, _ = rest.partition(CLOSING)
    return answer.strip() if opened and closed else None


class ReasoningGymVerifier:
    """The generator's own scorer, which may evaluate what the model wrote, in processes bounded in time and memory.

    A score below 1 is a reward, too; correct is a full score.

    Attributes:
        failures: responses since construction that were not judged, by kind.
    """

    graded = True

    def __init__(self, generator: str, settings: str, workers: int = 2, timeout: float = 10.0):
        self.generator, self.settings = generator, settings
        self.failures: Counter[str] = Counter()
        self._pool = WorkerPool("htpo.verifiers.reasoning_gym.worker", workers, timeout, 2048)

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; which puzzle it answers is read from the rows' columns `gym_seed`, `gym_index`."""
        answers = [last_answer(answer_part(*each) or "") for each in zip(responses, rows, strict=True)]
        asked = {
            (row["gym_seed"], row["gym_index"], answer) for answer, row in zip(answers, rows, strict=True) if answer
        }
        requests = [["score", self.generator, self.settings, CHUNK, *each] for each in sorted(asked)]
        replies = dict(zip(sorted(asked), self._pool.run(requests)))
        verdicts = []
        for answer, row in zip(answers, rows):
            if not answer:
                verdicts.append(Verdict(False, failure="unparsable", score=0.0))
                continue
            reply = replies[row["gym_seed"], row["gym_index"], answer]
            score = 0.0 if reply.failure else reply.value
            verdicts.append(Verdict(score >= FULL_SCORE, answer, reply.failure, score))
        self.failures.update(verdict.failure for verdict in verdicts if verdict.failure)
        return verdicts

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()
