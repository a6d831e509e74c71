r"""What counts as the final answer of a response: for each format what the prompt asks for and what is then read.

The two stand side by side because they are one contract: a prompt that asks for another form than the one that is read
scores every response 0.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

BOXED = re.compile(r"\\boxed\s*\{")
BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
FINAL_ANSWER_MARK = "####"  # GSM8K's: what stands before it is the solution, after it the answer
# Possessive (`*+`), for it reads what a model wrote: to give back what was taken would cost quadratic time.
ANSWER_LINE = re.compile(r"^[ \t*_#>]*+(?:the )?+(?:final )?+answer[ \t*_]*+:[ \t*_]*+(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class AnswerFormat:
    """One form of final answer."""

    prompt_template: str  # with `{prompt}` where the problem goes
    mark: str  # what a prompt that asks for it contains
    sought: str  # what is read, in words, for descriptions
    final_answer: Callable[[str], str | None]  # from the response; None when it has none
    response: str  # one that gives the answer, with `{answer}` where it goes


def last_boxed(response: str) -> str | None:
    r"""The content of the last `\boxed{...}` of a response, or None when there is none or it never closes.

    Escaped braces (`\{`) do not count, as in TeX. An earlier box is no substitute for a last one that was cut off:
    what it holds is an intermediate value.
    """
    openings = list(BOXED.finditer(response))
    if not openings:
        return None
    start, depth = openings[-1].end(), 1
    for brace in BRACES.finditer(response, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return response[start : brace.start()]
    return None


def last_answer_line(response: str) -> str | None:
    r"""What follows `Answer:` on the last line that starts with it, or None when no line does.

    Case and Markdown (`**Answer:** 5`) do not matter; a box in it (`Answer: $\boxed{5}$`) is opened.
    """
    for line in reversed(response.splitlines()):
        if found := ANSWER_LINE.match(line):
            answer = found.group(1).strip().rstrip("*_").strip()
            return last_boxed(answer) if BOXED.search(answer) else answer
    return None


def answer_of_gold(gold: str) -> str:
    r"""The answer in a gold that is a solution: what follows the last `####` (GSM8K's mark), and of that, or of a gold
    without it, the content of the last `\boxed{}`. Any other gold, also one whose last box never closes, as it is."""
    stated = gold.rpartition(FINAL_ANSWER_MARK)[2]
    found = last_boxed(stated)
    return stated if found is None else found


ANSWER_FORMATS = {
    "boxed": AnswerFormat(
        prompt_template="{prompt}\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
        mark="\\boxed",
        sought="the last \\boxed{}",
        final_answer=last_boxed,
        response="\\boxed{{answer}}",
    ),
    "answer_line": AnswerFormat(
        prompt_template="{prompt}\n\nPlease reason step by step, and write your final answer alone on the last line, "
        'after "Answer:".',
        mark="Answer:",
        sought='the last line that starts with "Answer:"',
        final_answer=last_answer_line,
        response="Answer: {answer}",
    ),
}
