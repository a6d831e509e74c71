"""The worker program behind the math verifier (see `workers.program` for how it is spoken to)."""

import re

from htpo.verifiers.workers.program import serve


def whole_answer(text: str) -> str:
    """`text` on one line, without dollar signs around the whole of it."""
    text = " ".join(text.split())
    while len(text) > 1 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def judge(gold: str, answer: str) -> str:
    """Return "correct", "wrong", or "unparsable" when nothing can be read in the answer."""
    from htpo.verifiers.math.equality import is_readable, same_answer

    if same_answer(gold, answer):
        return "correct"
    return "wrong" if is_readable(answer) else "unparsable"


def gold_problem(gold: str) -> str | None:
    """Why answers cannot be compared with this gold: "unreadable" or "prose"; None when they can."""
    from htpo.verifiers.math import equality as math_equality
    from htpo.verifiers.math.prose import is_prose

    if is_prose(gold):
        return "prose"
    return None if math_equality.is_readable(gold) else "unreadable"


def last_match(pattern: str, response: str) -> str | None:
    """The group of the pattern's last match in a response; None when it matches nowhere."""
    found = None
    for match in re.finditer(pattern, response):
        found = match
    return None if found is None else found.group(1)


if __name__ == "__main__":
    handlers = {"judge": judge, "gold_problem": gold_problem, "last_match": last_match}
    serve(handlers, warm_up=lambda: judge(r"x + \sqrt{2}", r"\sqrt{2} + x"))
