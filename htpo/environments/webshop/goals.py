"""What customers want: goals in the order in which the original numbers them."""

import random
from collections.abc import Iterable, Iterator
from itertools import product as combinations
from typing import Any

from htpo.environments.webshop.products import Product

LIMITS = [10.0 * tens for tens in range(1, 100)]
NO_LIMIT = 1_000_000.0
SHUFFLE_SEED = 233
SPLITS = {"train": slice(1500, None), "valid": slice(500, 1500), "test": slice(0, 500)}
"""By convention; the goals of one product may be in several."""

Goal = dict[str, Any]


def synthetic_goals(products: Iterable[Product]) -> list[Goal]:
    """One for each combination of the options of each product that has an instruction."""
    return _shuffled(goal for place, product in enumerate(products) for goal in _synthetic(place, product))


def human_goals(products: Iterable[Product]) -> list[Goal]:
    """One for each instruction that a person wrote."""
    return _shuffled(goal for place, product in enumerate(products) for goal in _human(place, product))


def _synthetic(place: int, product: Product) -> Iterator[Goal]:
    if product["instruction"] is None:
        return
    limit, text = _price_limit(product["price"], random.Random(product["asin"]))
    names = sorted(product["options"])
    for values in combinations(*(product["options"][name] for name in names)):
        chosen = dict(zip(names, values))
        said = ", and ".join(f"{name}: {value}" for name, value in chosen.items())
        asked = f"{product['instruction']}{' with ' + said if said else ''}{text}"
        yield _goal(place, product, asked, product["instruction_attributes"], limit, list(values))


def _human(place: int, product: Product) -> Iterator[Goal]:
    for number, said in enumerate(product["human_instructions"]):
        if said["instruction_attributes"]:
            limit, text = _price_limit(product["price"], random.Random(f"{product['asin']} {number}"))
            asked = said["instruction"].strip(".") + text
            yield _goal(place, product, asked, said["instruction_attributes"], limit, said["instruction_options"])


def _price_limit(price: float, rng: random.Random) -> tuple[float, str]:
    """A limit a little above the price, and what the instruction says of it."""
    above = [limit for limit in LIMITS if limit > price][:4]
    if len(above) < 2:
        return NO_LIMIT, ""
    limit = max(rng.sample(above, 2))
    return limit, f", and price lower than {limit:.2f} dollars"


def _goal(place: int, product: Product, text: str, attributes: list[str], limit: float, options: list[str]) -> Goal:
    return {
        "product": place,
        "text": text,
        "attributes": attributes,
        "price_limit": limit,
        "options": options,
        "category": product["category"],
    }


def _shuffled(goals: Iterator[Goal]) -> list[Goal]:
    found = list(goals)
    random.Random(SHUFFLE_SEED).shuffle(found)
    return found
