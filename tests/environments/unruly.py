"""Environments that do wrong, for the tests to name by import path."""

import itertools
import os
import time
from dataclasses import replace

from htpo.environments import Observation

_resets = itertools.count()


class Counting:
    """Add up to the number in the row: a step to each number, or what the row says that happens there."""

    splits = ("train", "test")
    max_steps = 6

    def __init__(self, total: int = 3):
        self.total = total

    def rows(self, split, count, seed):
        return [{"id": f"{split}-{number}", "task_type": "count", "at": None} for number in range(count or 4)]

    def reset(self, row, seed):
        self.row, self.sum = row, 0
        if row.get("at") == "reset":
            self.misbehave(row["does"])
        return self.seen()

    def step(self, action):
        if not isinstance(action, str) or action not in ("1", "2"):
            return Observation("not a number to add", ("1", "2"), score=self.sum / 10, invalid=True)
        self.sum += int(action)
        if self.sum == self.row.get("at"):
            self.misbehave(self.row["does"])
        return self.seen()

    def seen(self):
        won = self.sum == self.total
        return Observation(f"{self.sum} of {self.total}", ("1", "2"), won or self.sum > self.total, won, float(won))

    def misbehave(self, how):
        match how:
            case "raises":
                raise LookupError("no such number")
            case "hangs":
                while True:
                    pass
            case "sleeps":
                time.sleep(600)
            case "dies":
                os._exit(1)
            case "eats":
                self.eaten = bytearray(2**33)

    def walkthrough(self, row):
        return ["1"] * self.total


class Forgetful(Counting):
    """Shows something else at every reset, and in every process."""

    def seen(self):
        return Observation(f"{super().seen().text}, {os.getpid()}, {next(_resets)}")


class Delicate(Counting):
    """Takes only text."""

    def step(self, action):
        return super().step(action.strip())


class Wordless(Counting):
    """Returns what is no observation."""

    def reset(self, row, seed):
        return "0 of 3"


class Yes(Counting):
    """Says whether it is a success in its own words."""

    def seen(self):
        return replace(super().seen(), success="yes")


class Immeasurable(Counting):
    """Has a score that is no number."""

    def seen(self):
        return replace(super().seen(), score=float("nan"))


class Taskless(Counting):
    """Has nothing to do."""

    def rows(self, split, count, seed):
        return []


class Stepless:
    """No environment."""

    splits = ("train",)
    max_steps = 1


class Counted(Counting):
    """Says how many of it there are in its process."""

    made = 0

    def __init__(self):
        super().__init__()
        Counted.made += 1

    def seen(self):
        return Observation(f"{Counted.made} made", ("1", "2"))
