"""The worker program behind the math verifier (see `htpo.workers.program` for how it is spoken to)."""

import re

from htpo.workers.program import serve


def whole_answer(text: str) -> str:
    """`text` on one line, without dollar signs around the whole of it."""
    text = " ".join(text.split())
    while len(text) > 1 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def judge(gold: str, answer: str) -> tuple[bool, str | None]:
    """Whether the answer is correct, and "unparsable" when nothing can be read in it."""
    from htpo.verifiers.math.equality import is_readable, same_answer

    if same_answer(gold, answer):
        return True, None
    return False, None if is_readable(answer) else "unparsable"


def gold_defect(gold: str) -> str | None:
    """Why answers cannot be compared with this gold: "unreadable" or "prose"; None when they can."""
    from htpo.verifiers.math.equality import is_readable
    from htpo.verifiers.math.prose import is_prose

    if is_prose(gold):
        return "prose"
    return None if is_readable(gold) else "unreadable"


def last_match(pattern: str, response: str) -> str | None:
    """The group of the pattern's last match in a response; None when it matches nowhere."""
    found = None
    for match in re.finditer(pattern, response):
        found = match
    return None if found is None else found.group(1)


if __name__ == "__main__":
    handlers = {"judge": judge, "gold_defect": gold_defect, "last_match": last_match}
    serve(handlers, warm_up=lambda: judge(r"x + \sqrt{2}", r"\sqrt{2} + x"))
