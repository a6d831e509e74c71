"""The files of ALFWorld's games: where they are, and what one holds."""

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htpo.environments.environment import TooFewTasks
from htpo.errors import UserError

SPLITS = ("train", "valid_seen", "valid_unseen")
FOLDER = "json_2.1.1"  # of the download, below which there are the splits
FILE = "game.tw-pddl"
HOLDS = ("pddl_domain", "grammar", "pddl_problem")


@dataclass(frozen=True)
class Games:
    """A folder with a folder for each split."""

    folder: Path

    @classmethod
    def find(cls, data: str | None) -> "Games":
        """The games in the folder `data`, else in `ALFWORLD_DATA`, else where `alfworld-download` puts them.

        Raises:
            UserError: there are none.
        """
        given = data or os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld"
        root = Path(os.path.expandvars(given)).expanduser().absolute()
        for folder in (root, root / FOLDER):
            if any((folder / split).is_dir() for split in SPLITS):
                return cls(folder)
        raise UserError(
            f"there are no ALFWorld games in {root} (none of {', '.join(SPLITS)}, there or in {FOLDER}): "
            f"fetch them with `alfworld-download`, or name their folder in ALFWORLD_DATA or the option `data`"
        )

    def rows(self, split: str, count: int | None, seed: int) -> list[dict[str, Any]]:
        """Tasks: all in the order of their names, or `count` that the seed draws.

        Raises:
            TooFewTasks: the split has not so many games.
        """
        paths = sorted(path.relative_to(self.folder).as_posix() for path in (self.folder / split).glob(f"*/*/{FILE}"))
        if not paths or (count or 0) > len(paths):
            wanted = "" if count is None else f", and {count} are asked for"
            raise TooFewTasks(f"{self.folder / split} has {len(paths)} games{wanted}")
        chosen = paths if count is None else random.Random(seed).sample(paths, count)
        return [
            {"id": path.removesuffix(f"/{FILE}"), "task_type": path.split("/")[1].split("-")[0], "game": path}
            for path in chosen
        ]

    def read(self, game: str) -> dict[str, Any]:
        """What the file of a game holds.

        Raises:
            UserError: it is not there, or damaged.
        """
        path = self.folder / game
        try:
            held = json.loads(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: the game cannot be read ({error.strerror or error})") from None
        except ValueError as error:
            raise UserError(f"{path}: the game is damaged ({error}); fetch it again") from None
        if not isinstance(held, dict) or not all(isinstance(held.get(key), str) for key in HOLDS):
            raise UserError(f"{path}: the game is damaged (it needs the texts {', '.join(HOLDS)}); fetch it again")
        return held
