"""A text world whose episodes are known by hand, and a policy that plays them."""

import re

from htpo.environments import Observation, TooFewTasks

TYPES = {1: "plain", 2: "plain", 3: "late", 4: "late", 5: "late"}
TURNS = {
    1: ["go"] * 3,
    2: ["jump", "go", "go", "go"],
    3: ["wait"] * 5,
    4: ["go", "go", "jump", "jump", "jump"],
    5: ["go", "break"],
}
"""What the policy does in each task, turn by turn."""
FOUND = {  # success, score, actions, invalid ones, ended for their number, failure
    1: (True, 1.0, 3, 0, False, None),
    2: (True, 1.0, 4, 1, False, None),
    3: (False, 0.0, 5, 0, True, None),
    4: (False, 2 / 3, 5, 3, True, None),
    5: (False, 0.0, 1, 0, False, "crash"),
}
"""What comes of it."""


class Path:
    """Go three steps in five turns; to break it is a fault of the environment."""

    splits = ("train", "test")
    max_steps = 5

    def __init__(self, length: int = 3):
        self.length = length

    def rows(self, split, count, seed):
        return [{"id": f"{split}-{number}", "task_type": kind, "number": number} for number, kind in TYPES.items()][
            :count
        ]

    def reset(self, row, seed):
        self.number, self.steps = row["number"], 0
        return self.seen(f"path {self.number}")

    def step(self, action):
        if action == "break":
            raise LookupError("it broke")
        self.steps += action == "go"
        return self.seen(f"step {self.steps}", invalid=action not in ("go", "wait"))

    def seen(self, text, invalid=False):
        done = self.steps == self.length
        return Observation(text, ("go", "wait"), done, done, self.steps / self.length, invalid)

    def walkthrough(self, row):
        return ["go"] * self.length


class Few(Path):
    """Refuses to give more tasks than it has, as environments with files do."""

    def rows(self, split, count, seed):
        if (count or 0) > len(TYPES):
            raise TooFewTasks(f"there are {len(TYPES)}, and {count} are asked for")
        return super().rows(split, count, seed)


class Fails(Path):
    """Fails over a count, though not for want of tasks."""

    def rows(self, split, count, seed):
        if count is not None:
            raise LookupError(f"no tasks for a count of {count}")
        return super().rows(split, count, seed)


def next_action(told: str) -> str:
    """The policy's next action, by what it was told so far."""
    turns = TURNS[int(re.search(r"path (\d)", told)[1])]
    return turns[len(re.findall(r"step \d", told))]
