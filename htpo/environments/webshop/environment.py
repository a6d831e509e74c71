"""WebShop as an `Environment`."""

import os
import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from htpo.environments.environment import Observation, Row, TooFewTasks
from htpo.environments.webshop.goals import SPLITS
from htpo.environments.webshop.reward import reward
from htpo.environments.webshop.session import PAGE, Session
from htpo.environments.webshop.shop import Shop
from htpo.errors import UserError

INSTALL = 'pip install "htpo[webshop]"'
NO_ACTION = "That is no action on this page."


class WebShop:
    """A shop of the user's products; the score of a purchase is WebShop's reward, a success is a reward of 1.

    Args:
        data: folder with WebShop's `items_shuffle.json` and `items_ins_v2.json`, or with `products.jsonl` and
            `instructions.json`; by default `WEBSHOP_DATA`.
        human: goals written by people, rather than one for each combination of options.

    Raises:
        UserError: there are no such files, or what reads them is not installed.
    """

    splits = tuple(SPLITS)
    max_steps = 15

    def __init__(self, data: str | None = None, human: bool = False):
        given = data or os.environ.get("WEBSHOP_DATA")
        if not given:
            raise UserError("webshop needs the folder of its products: name it in WEBSHOP_DATA or in the option `data`")
        self._shop = _shop(str(Path(os.path.expandvars(given)).expanduser().absolute()))
        self._goals = self._shop.goals(human=human)

    def rows(self, split: str, count: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Goals of a split, all, or so many drawn with the seed; `goal` is their number in the original's order.

        Raises:
            TooFewTasks: the split has not so many.
        """
        numbers = range(len(self._goals))[SPLITS[split]]
        if not numbers or (count or 0) > len(numbers):
            wanted = "" if count is None else f", and {count} are asked for"
            raise TooFewTasks(f"webshop has {len(self._goals)} goals, {len(numbers)} of them in {split}{wanted}")
        chosen = numbers if count is None else random.Random(seed).sample(numbers, count)
        goals = [self._goals.read(number) for number in chosen]
        return [
            {"id": f"{split}-{number}", "task_type": goal["category"], "task": goal["text"], "goal": number}
            for number, goal in zip(chosen, goals)
        ]

    def reset(self, row: Row, seed: int) -> Observation:
        """The search page; nothing is left to chance, so that `seed` has no effect."""
        self._session = Session(self._shop, self._goals.read(row["goal"]))
        return self._shown(self._session.text())

    def step(self, action: str) -> Observation:
        """Act; capitals do not matter."""
        possible = self._session.act(action)
        return self._shown(self._session.text() if possible else NO_ACTION, invalid=not possible)

    def walkthrough(self, row: Row) -> list[str]:
        """The actions of one who knows which product is meant, and finds it by its title."""
        goal = self._goals.read(row["goal"])
        product = self._shop.product(goal["product"])
        found = self._shop.search(product["title"].lower())
        turns = found.index(goal["product"]) // PAGE if goal["product"] in found else 0
        options = [f"click[{option}]" for option in goal["options"]]
        search = f"search[{product['title'].lower()}]"
        return [search, *["click[next >]"] * turns, f"click[{product['asin'].lower()}]", *options, "click[buy now]"]

    def _shown(self, text: str, *, invalid: bool = False) -> Observation:
        session = self._session
        if session.page != "bought":
            return Observation(text, session.actions(), invalid=invalid)
        wanted = self._shop.product(session.goal["product"])
        earned = reward(session.product, list(session.options.values()), session.goal, wanted)
        return Observation(text, (), True, earned == 1.0, earned, invalid)


@cache
def _shop(data: str) -> Shop:
    """One for all episodes of a process."""
    for package in ("bm25s", "thefuzz"):
        if find_spec(package) is None:
            raise UserError(f"{package} is not installed: {INSTALL}")
    return Shop.of(Path(data))
