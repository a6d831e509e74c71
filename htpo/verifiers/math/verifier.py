"""Judging mathematical answers with math-verify, in processes that can neither hang nor harm the run."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from htpo.errors import UserError
from htpo.verifiers.math.formats import ANSWER_FORMATS, answer_of_gold
from htpo.verifiers.math.worker import whole_answer
from htpo.verifiers.reasoning_text import answer_part
from htpo.verifiers.verdict import Verdict
from htpo.workers.pool import Reply, WorkerPool, usable_cores

LONGEST_ANSWER = 2000  # characters; no gold comes near, and reading runaway text takes seconds
MOST_WORKERS = 8  # by default: each holds 100 MB
NO_FINAL_ANSWER = "is a sentence or a solution, not a final answer"
GOLD_DEFECTS = {
    "unreadable": "cannot read the gold answer {}",
    "prose": f"the gold answer {{}} {NO_FINAL_ANSWER}",
}
PLAIN_INTEGER = re.compile(r"-?[0-9]{1,18}")


def bounded_answer(text: str | None) -> Reply:
    """The text as a final answer; "unparsable" when there is none, it is blank or too long to be one."""
    if text is None or not text.strip() or len(text) > LONGEST_ANSWER:
        return Reply(failure="unparsable")
    return Reply(text.strip())


def check_pattern(pattern: str) -> None:
    """Raise `UserError` unless this is a regular expression with exactly one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UserError(f"answer_pattern {pattern!r} is not a regular expression: {error}") from None
    if groups != 1:
        raise UserError(f"answer_pattern {pattern!r} has {groups} groups; put the final answer in exactly one, (...)")


class MathVerifier:
    r"""Judges the final answer of a response against a gold answer by what it means.

    The final answer is what `answer_format` reads (`htpo.verifiers.math.formats`), or the group of `answer_pattern`'s
    last match. Texts that are equal and plain integers are compared here; everything else in a pool of worker processes
    (`htpo.verifiers.math.equality`, with math-verify for the algebra), where a job that exceeds its bounds costs that
    process and no more. The processes start at the first need. Works in any thread and touches no signal. A copy or a
    pickle carries settings and counts, and starts processes of its own.

    Args:
        answer_column: the column of the rows that holds the gold answer (text or a number), or a solution whose last
            `\boxed{}`, or what follows its last `####`, is the gold answer.
        answer_format: "boxed" (the last `\boxed{}`) or "answer_line" (the last line that starts with `Answer:`).
        answer_pattern: a regular expression (Python's `re`) with one group, instead of a format.
        workers: number of processes; by default one for each usable core, at most 8.
        timeout: seconds of processor time per answer; of wall clock ten times that.
        memory_limit_mb: address space of one process, in MiB (on Linux).

    Attributes:
        failures: responses since construction that were not judged, by kind: `unparsable` (no final answer, one over
            2000 characters, or one that cannot be read), `timeout`, `crash`.

    Raises:
        UserError: for a setting that cannot be used.
    """

    def __init__(
        self,
        answer_column: str = "answer",
        answer_pattern: str | None = None,
        workers: int | None = None,
        timeout: float = 5.0,
        memory_limit_mb: int = 2048,
        answer_format: str = "boxed",
    ):
        if answer_format not in ANSWER_FORMATS:
            raise UserError(f"answer_format {answer_format!r} is unknown: choose one of {', '.join(ANSWER_FORMATS)}")
        if answer_pattern is not None:
            check_pattern(answer_pattern)
            if answer_format != "boxed":
                raise UserError(f"answer_pattern takes the place of answer_format={answer_format!r}: give only one")
        workers = min(usable_cores(), MOST_WORKERS) if workers is None else workers
        for name, value in (("workers", workers), ("timeout", timeout), ("memory_limit_mb", memory_limit_mb)):
            if not 0 < value < math.inf:
                raise UserError(f"{name}={value} of the math verifier must be a positive number")
        self.answer_column, self.answer_format, self.answer_pattern = answer_column, answer_format, answer_pattern
        self.failures: Counter[str] = Counter()
        self._pool = WorkerPool("htpo.verifiers.math.worker", workers, timeout, memory_limit_mb)

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response, in order; identical pairs of gold and answer are judged once.

        Raises:
            UserError: when a row has no gold answer, or the worker processes cannot start.
        """
        golds = [self._gold(row) for row in rows]
        answers = self._final_answers(responses, rows)
        pairs = {(gold, answer.value) for gold, answer in zip(golds, answers, strict=True) if answer.failure is None}
        judged = self._judge_pairs(sorted(pairs))
        verdicts = [
            Verdict(False, failure=answer.failure) if answer.failure else judged[gold, answer.value]
            for gold, answer in zip(golds, answers)
        ]
        self.failures.update(verdict.failure for verdict in verdicts if verdict.failure)
        return verdicts

    def extract(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str | None]:
        """The final answer of each response, as `judge` reads it; None where there is none to be judged."""
        answers = self._final_answers(responses, rows)
        return [None if answer.failure else answer.value for answer in answers]

    def equivalent(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether two final answers are the same, for each pair: each would be right if the other were the gold.

        Judged as `judge` does it, in the worker processes and within their bounds; what exceeds them is not equivalent.
        """
        long = [max(map(len, pair)) > LONGEST_ANSWER for pair in pairs]
        distinct = {pair for pair, is_long in zip(pairs, long) if pair[0] != pair[1] and not is_long}
        judged = self._judge_pairs(sorted(distinct | {(other, one) for one, other in distinct}))
        return [
            pair[0] == pair[1] or (not is_long and judged[pair].correct and judged[pair[::-1]].correct)
            for pair, is_long in zip(pairs, long)
        ]

    def check_gold(self, gold: Any) -> str | None:
        """Why this gold answer cannot be used, or None when it can."""
        return self.check_golds([gold])[0]

    def check_golds(self, golds: Sequence[Any]) -> list[str | None]:
        """`check_gold` for many, in parallel; each distinct one is read once."""
        texts = ["" if gold is None else answer_of_gold(str(gold)) for gold in golds]
        reasons: dict[str, str | None] = {}
        for text in texts:
            gold = whole_answer(text)
            if not gold:
                reasons[text] = "the gold answer is empty"
            elif len(gold) > LONGEST_ANSWER:
                reasons[text] = f"the gold answer has {len(gold)} characters, more than {LONGEST_ANSWER}"
            elif PLAIN_INTEGER.fullmatch(gold):
                reasons[text] = None
        unknown = sorted(set(texts) - reasons.keys())
        for text, reply in zip(unknown, self._pool.run([["gold_defect", text] for text in unknown])):
            shown = repr(text if len(text) <= 60 else text[:57] + "...")
            if reply.failure:
                reasons[text] = f"reading the gold answer {shown} ended in a {reply.failure}"
            else:
                reasons[text] = reply.value and GOLD_DEFECTS[reply.value].format(shown)
        return [reasons[text] for text in texts]

    def close(self) -> None:
        """End the worker processes. Safe to call again; the next answer starts new ones."""
        self._pool.close()

    def _gold(self, row: dict[str, Any]) -> str:
        gold = row.get(self.answer_column)
        if gold is None or not str(gold).strip():
            raise UserError(f"a row has no gold answer in column {self.answer_column!r} (it has {sorted(row)})")
        return answer_of_gold(str(gold))

    def _final_answers(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Reply]:
        # Reasoning that never ends leaves nothing, in which no format finds an answer.
        responses = [answer_part(response, row) or "" for response, row in zip(responses, rows, strict=True)]
        if self.answer_pattern is None:
            final_answer = ANSWER_FORMATS[self.answer_format].final_answer
            return [bounded_answer(final_answer(response)) for response in responses]
        # On text that a model wrote a pattern may backtrack for years, so it is searched under the same bounds.
        distinct = sorted(set(responses))
        replies = self._pool.run([["last_match", self.answer_pattern, response] for response in distinct])
        found = {
            response: reply if reply.failure else bounded_answer(reply.value)
            for response, reply in zip(distinct, replies)
        }
        return [found[response] for response in responses]

    def _judge_pairs(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Verdict]:
        """The verdict on each pair of a gold and an answer."""
        judged: dict[tuple[str, str], Verdict] = {}
        for gold, answer in pairs:
            plain_gold, plain_answer = whole_answer(gold), whole_answer(answer)
            if plain_gold == plain_answer:
                judged[gold, answer] = Verdict(True, answer)
            elif PLAIN_INTEGER.fullmatch(plain_gold) and PLAIN_INTEGER.fullmatch(plain_answer):
                judged[gold, answer] = Verdict(int(plain_gold) == int(plain_answer), answer)
        unknown = [pair for pair in pairs if pair not in judged]
        for pair, reply in zip(unknown, self._pool.run([["judge", *pair] for pair in unknown])):
            correct, failure = (False, reply.failure) if reply.failure else reply.value
            judged[pair] = Verdict(correct, pair[1], failure)
        return judged
