"""Plays all tasks of an environment by their walkthroughs, and at random, through the protocol, in worker processes.

    python benchmarks/environment_replay.py alfworld:valid_seen alfworld:valid_unseen [--options '{"data": "FOLDER"}']

The walkthroughs must do every task that has one. The random policy draws among the admissible actions; its rate is that
of the tasks, with the interval that other tasks of the kind would give. Times are seconds of processor time of the
workers, which a busy machine does not change by much.
"""

import argparse
import json
import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from htpo.environments import EnvironmentLabel, EnvironmentWorkers, Episode
from htpo.statistics import rate_interval

BATCH = 32  # episodes at once


@dataclass
class Played:
    """What came of the episodes of one policy."""

    episodes: list[Episode] = field(default_factory=list)
    reset_seconds: float = 0.0
    step_seconds: float = 0.0

    @property
    def steps(self) -> int:
        """All actions."""
        return sum(len(episode.actions) for episode in self.episodes)

    def line(self) -> str:
        """One row of the table, without the name of what was played."""
        successes = [float(episode.success) for episode in self.episodes]
        tasks: dict[str, list[float]] = {}
        for episode in self.episodes:
            tasks.setdefault(episode.row["id"], []).append(float(episode.success))
        rate = rate_interval([sum(each) / len(each) for each in tasks.values()])
        ends = "" if rate.low is None else f" ({rate.low:.3f} to {rate.high:.3f})"
        score = sum(episode.score for episode in self.episodes) / len(successes)
        failures = Counter(episode.failure for episode in self.episodes if episode.failure)
        cells = (
            f"{sum(successes):.0f} of {len(successes)}",
            f"{rate.value:.3f}{ends}",
            f"{score:.3f}",
            f"{self.steps / len(successes):.1f}",
            str(sum(episode.invalid_actions for episode in self.episodes)),
            ", ".join(f"{count} {kind}" for kind, count in failures.items()) or "none",
            f"{1000 * self.reset_seconds / len(successes):.0f}",
            f"{1000 * self.step_seconds / max(self.steps, 1):.1f}",
        )
        return " | ".join(cells)


HEAD = "| tasks | policy | done | rate | score | steps | invalid | failures | ms a reset | ms a step |"


def workers_seconds() -> float:
    """Processor time of all processes below this one, and of those that have ended."""
    ended = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    return ended + sum(sum(process.cpu_times()[:2]) for process in psutil.Process().children(recursive=True))


def played(worlds: EnvironmentWorkers, rows: list[dict[str, Any]], policy: str, seed: int) -> Played:
    """Episodes of the rows, in batches."""
    done = Played()
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        begun = workers_seconds()
        episodes = worlds.reset(batch, [seed] * len(batch))
        reset = workers_seconds()
        choices = [choose(worlds, episode, policy, seed) for episode in episodes]
        chosen = workers_seconds()
        while ahead := [number for number, episode in enumerate(episodes) if not episode.done]:
            worlds.step([episodes[number] for number in ahead], [next(choices[number], None) for number in ahead])
        done.reset_seconds += reset - begun
        done.step_seconds += workers_seconds() - chosen
        done.episodes += episodes
    return done


def choose(worlds: EnvironmentWorkers, episode: Episode, policy: str, seed: int) -> Iterator[str]:
    """The actions of a policy in one episode."""
    if policy == "walkthrough":
        return iter(worlds.walkthrough(episode.row) or [])
    rng = random.Random(f"{episode.row['id']} {seed}")

    def draw() -> str:
        action = rng.choice(episode.observation.actions or ("",))
        return action.replace("<keywords>", episode.row.get("task", ""))

    return iter(draw, None)


def main() -> int:
    """Print the table; 1 when a walkthrough does not do its task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="+", metavar="ENVIRONMENT[:SPLIT]")
    parser.add_argument("--options", type=json.loads, default={}, help="of the environment, as JSON")
    parser.add_argument("--count", type=int, help="of tasks; by default all")
    parser.add_argument("--random", type=int, default=1, help="episodes of the random policy for each task, or 0")
    parser.add_argument("--workers", type=int, help="processes; by default one for every core")
    parser.add_argument("--missed", action="store_true", help="name the tasks that their walkthroughs do not do")
    arguments = parser.parse_args()
    print(HEAD, "|---" * HEAD.count(" | ") + "|---|", sep="\n")
    lost = 0
    for label in arguments.environments:
        parsed = EnvironmentLabel.parse(label)
        with EnvironmentWorkers(parsed.name, arguments.options, workers=arguments.workers) as worlds:
            rows = worlds.rows(parsed.split, arguments.count)
            replayed = played(worlds, rows, "walkthrough", 0)
            lost += sum(not episode.success for episode in replayed.episodes)
            print(f"| {label} | walkthrough | {replayed.line()} |", flush=True)
            if arguments.missed:
                print(
                    *(f"{each.row['id']} {each.score:.3f}" for each in replayed.episodes if not each.success), sep="\n"
                )
            if arguments.random:
                at_random = Played()
                for seed in range(arguments.random):
                    more = played(worlds, rows, "random", seed)
                    at_random.episodes += more.episodes
                    at_random.reset_seconds += more.reset_seconds
                    at_random.step_seconds += more.step_seconds
                print(f"| {label} | random | {at_random.line()} |", flush=True)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
