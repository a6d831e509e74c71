"""A verifier of one's own: right answers with as few steps as possible.

    python examples/fewest_steps.py puzzles.jsonl      # writes puzzles, and shows what the verifier says of answers
    htpo data show puzzles.jsonl --prompt_column puzzle --verifier examples.fewest_steps:judge
    htpo train --model_name_or_path htpo/assets/number_path --dataset puzzles.jsonl --prompt_column puzzle \\
        --verifier examples.fewest_steps:judge --max_completion_length 32 --learning_rate 2e-4 --max_steps 8

A puzzle such as `+9-8*2 29>13:` gives three moves, a start and a target; `-8=21-8=13.` is an answer.
"""

import json
import random
import re
import sys
from pathlib import Path

OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
LARGEST = 60


def judge(response: str, row: dict) -> float:
    """What `--verifier` names: 1 for a right answer in the fewest steps (correct), less for a longer one, else 0.

    `row` is the row of the file, whatever columns it has.
    """
    moves, start, target = re.fullmatch(r"(\S+) (\d+)>(\d+):", row["puzzle"]).groups()
    if not re.fullmatch(r"([+*-]\d=\d\d)+\.", response):
        return 0.0
    value, steps = int(start), re.findall(r"([+*-])(\d)=(\d\d)", response)
    for sign, amount, stated in steps:
        value = OPERATIONS[sign](value, int(amount))
        if sign + amount not in moves or value != int(stated):
            return 0.0
    return row["fewest"] / len(steps) if value == int(target) else 0.0


def shortest_answer(moves: list[str], start: int, target: int) -> str | None:
    """By breadth-first search; None where no answer stays within 0..60."""
    ahead, seen = [(start, "")], {start}
    for value, answer in ahead:
        if value == target:
            return answer + "."
        for move in moves:
            after = OPERATIONS[move[0]](value, int(move[1:]))
            if 0 <= after <= LARGEST and after not in seen:
                seen.add(after)
                ahead.append((after, f"{answer}{move}={after:02d}"))
    return None


def main(path: str = "puzzles.jsonl", puzzles: int = 256) -> None:
    """Write puzzles that need two to four steps, and judge some answers to one of them."""
    chance, rows = random.Random(0), {}
    while len(rows) < puzzles:
        moves = [f"+{chance.randint(1, 9)}", f"-{chance.randint(1, 9)}", f"*{chance.randint(2, 3)}"]
        start, target = chance.randint(1, 30), chance.randint(0, LARGEST)
        answer = shortest_answer(moves, start, target) or ""
        if 2 <= answer.count("=") <= 4:
            puzzle = f"{''.join(moves)} {start:02d}>{target:02d}:"
            rows[puzzle] = {"puzzle": puzzle, "fewest": answer.count("=")}
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    print(f"{len(rows)} puzzles written to {path}")
    row = {"puzzle": "+9-9*2 29>11:", "fewest": 2}
    for answer in ("-9=20-9=11.", "+9=38-9=29-9=20-9=11.", "-9=20-8=12.", "eleven"):
        print(f"{row['puzzle']} {answer:24} reward {judge(answer, row):g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
