"""An environment that a random policy solves half the time."""

from htpo.environments import Observation


class EvenLength:
    """Three actions; it is a success when their letters are even in number. Nothing written is an invalid action."""

    splits = ("train",)
    max_steps = 3

    def rows(self, split, count, seed):
        return [{"id": f"{split}-{number}", "task_type": "even", "number": number} for number in range(count or 4)]

    def reset(self, row, seed):
        self.row, self.written, self.steps = row, "", 0
        if row.get("broken"):
            raise LookupError("no such task")
        return Observation(f"task {row['number']}")

    def step(self, action):
        self.steps += 1
        self.written += action or ""
        success = self.steps == 3 and len(self.written.replace(" ", "")) % 2 == 0
        score = 1.0 if success else self.steps / 10
        return Observation(f"{len(self.written)}", None, self.steps == 3, success, score, invalid=action is None)

    def walkthrough(self, row):
        return None


class PartlyBroken(EvenLength):
    """Every fourth task cannot be begun."""

    def rows(self, split, count, seed):
        return [{**row, "broken": row["number"] % 4 == 0} for row in super().rows(split, count, seed)]
