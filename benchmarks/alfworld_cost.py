"""What ALFWorld's games cost with what we remember, beside plain `textworld`, in one run.

    python benchmarks/alfworld_cost.py [--data FOLDER] [--games 5]

Each plays the same games by their walkthroughs in a process of its own; times are seconds of its processor time, and
memory is that of the process at its largest, with 64 games at once. What is kept on disk is empty to begin with.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from htpo.environments.alfworld.environment import AlfWorld
from htpo.environments.alfworld.games import Games

AT_ONCE = 64


def timed(do: Callable[[], Any], into: list[float]) -> Any:
    """What `do` returns; its processor time is added to `into`."""
    begun = time.process_time()
    result = do()
    into.append(time.process_time() - begun)
    return result


def plain(games: Games, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """As `textworld` and `alfworld` do it."""
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler

    times: dict[str, list[float]] = {"first reset": [], "again": [], "step": []}
    infos = textworld.EnvInfos(won=True, admissible_commands=True)

    def begun(path: str) -> Any:
        world = textworld.start(path, infos, wrappers=[AlfredDemangler])
        world.reset()
        return world

    for row in rows:
        path = str(games.folder / row["game"])
        world = timed(lambda path=path: begun(path), times["first reset"])
        timed(world.reset, times["again"])
        for action in games.read(row["game"])["walkthrough"]:
            timed(lambda world=world, action=action: world.step(action), times["step"])
    return times


def remembered(games: Games, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """As an environment does it."""
    data = str(games.folder)
    times: dict[str, list[float]] = {"first reset": [], "again": [], "step": [], "in another instance": []}
    for row in rows:
        world = AlfWorld(data)
        timed(lambda world=world, row=row: world.reset(row, 0), times["first reset"])
        timed(lambda world=world, row=row: world.reset(row, 0), times["again"])
        for action in world.walkthrough(row) or []:
            timed(lambda world=world, action=action: world.step(action), times["step"])
    many = []
    for number in range(AT_ONCE):
        many.append(AlfWorld(data))
        row = rows[number % len(rows)]
        timed(lambda row=row: many[-1].reset(row, 0), times["in another instance"])
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the games; by default ALFWORLD_DATA")
    parser.add_argument("--games", type=int, default=5)
    parser.add_argument("--only", choices=("plain", "remembered"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    games = Games.find(arguments.data)
    if arguments.only:
        play = plain if arguments.only == "plain" else remembered
        times = play(games, games.rows("valid_seen", arguments.games, 0))
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([{what: sum(each) / len(each) for what, each in times.items()}, megabytes]))
        return
    print("| | first reset | again | in another instance | step | MB |\n|---|---|---|---|---|---|")
    for name in ("plain", "remembered"):
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--data", str(games.folder), "--games", str(arguments.games)]
            environment = {**os.environ, "HTPO_CACHE": cache}
            done = subprocess.run(
                [*command, "--only", name], env=environment, capture_output=True, text=True, check=True
            )
        times, megabytes = json.loads(done.stdout.splitlines()[-1])
        kinds = ("first reset", "again", "in another instance", "step")
        cells = [f"{times[kind]:.3f}" if kind in times else "" for kind in kinds]
        print(f"| {name} | {' | '.join(cells)} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
