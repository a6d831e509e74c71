"""Products and instructions, as WebShop ships them or as one JSON object a line, in one form."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from htpo.errors import UserError

ORIGINAL = "items_shuffle*.json"
ORIGINAL_INSTRUCTIONS = "items_ins_v2*.json"
ORIGINAL_HUMAN = "items_human_ins*.json"
LINES, LINES_INSTRUCTIONS, LINES_HUMAN = "products.jsonl", "instructions.json", "human_instructions*.json"
NO_PRICE = 100.0
LONGEST_ASIN = 10
WORD = re.compile(r"[a-z]{3,}")
FUNCTION_WORDS = {"and", "are", "but", "for", "from", "has", "its", "not", "that", "the", "this", "with", "you", "your"}

Product = dict[str, Any]


def source_files(folder: Path) -> tuple[Path, Path, Path | None]:
    """The files of a folder: products, instructions, and those written by people, if there are any.

    Raises:
        UserError: there are none.
    """
    for products, instructions, human in (
        (LINES, LINES_INSTRUCTIONS, LINES_HUMAN),
        (ORIGINAL, ORIGINAL_INSTRUCTIONS, ORIGINAL_HUMAN),
    ):
        found = [
            sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
            for pattern in (products, instructions, human)
        ]
        if found[0] and found[1]:
            return found[0][0], found[1][0], found[2][0] if found[2] else None
    raise UserError(
        f"there are no products of WebShop in {folder}: it needs items_shuffle.json and items_ins_v2.json (or those "
        "with _1000) from WebShop's set-up, or products.jsonl and instructions.json"
    )


def read_products(folder: Path) -> Iterator[Product]:
    """All products of a folder, in their order, each once, with their instructions.

    Raises:
        UserError: a file is not there, or damaged.
    """
    products, instructions, human = source_files(folder)
    told = _json(instructions)
    people = _json(human) if human else {}
    seen: set[str] = set()
    for raw in _lines(products) if products.name == LINES else _json(products):
        try:
            product = _listed(raw) if products.name == LINES else _original(raw)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"{products}: product {len(seen) + 1} is damaged ({type(error).__name__}: {error})"
            ) from None
        asin = product["asin"]
        if asin == "nan" or len(asin) > LONGEST_ASIN or asin in seen:
            continue
        seen.add(asin)
        about = told.get(asin, {})
        product["attributes"] = about.get("attributes", product["attributes"])
        product["instruction"] = about.get("instruction")
        product["instruction_attributes"] = about.get("instruction_attributes") or []
        product["human_instructions"] = people.get(asin, [])
        yield product


def _listed(raw: dict[str, Any]) -> Product:
    """A product as the decoded search index holds it."""
    return _product(
        raw,
        raw["Title"],
        raw["Description"],
        raw["BulletPoints"],
        raw["options"],
        raw["Attributes"],
        raw["pricing"],
        raw["Price"],
    )


def _original(raw: dict[str, Any]) -> Product:
    """A product of `items_shuffle.json`."""
    features = raw["small_description"]
    options = {
        name.lower(): [content["value"].strip().replace("/", " | ").lower() for content in contents]
        for name, contents in (raw.get("customization_options") or {}).items()
        if contents is not None
    }
    prices = [float(re.sub(r"[^\d.]", "", price)) for price in (raw.get("pricing") or "").split("$")[1:]][:2]
    text = " to ".join(f"${price}" for price in prices or [NO_PRICE])
    return _product(
        raw,
        raw["name"],
        raw["full_description"],
        features if isinstance(features, list) else [features],
        options,
        ["DUMMY_ATTR"],
        prices or [NO_PRICE],
        text,
    )


def _product(
    raw: dict[str, Any],
    title: str,
    description: str,
    features: list[str],
    options: dict[str, list[str]],
    attributes: list[str],
    prices: list[float],
    price_text: str,
) -> Product:
    asin = str(raw["asin"])
    title, features = title or "", [feature or "" for feature in features or []]
    return {
        "asin": asin,
        "title": title,
        "description": description or "",
        "features": features,
        "options": {_spaced(name): list(map(_spaced, values)) for name, values in options.items()},
        "attributes": attributes,
        "price": prices[0] if len(prices) == 1 else random.Random(asin).uniform(*prices[:2]),
        "price_text": price_text,
        "category": raw["category"],
        "query": raw["query"].lower().strip(),
        "product_category": raw["product_category"],
        "rating": str(raw.get("Rating", raw.get("average_rating", "N.A."))),
        "reviews": raw.get("Reviews") or [],
        "title_nouns": raw["title_nouns"] if "title_nouns" in raw else title_words(title),
    }


def _spaced(text: str) -> str:
    """With single spaces, as every action is before it is looked up: some options have others, or unbreakable ones."""
    return " ".join(text.split())


def title_words(title: str) -> list[str]:
    """What stands for the nouns of a title that come with no analysis: its words, but for the commonest."""
    return [word for word in WORD.findall(title.lower()) if word not in FUNCTION_WORDS]


def search_text(product: Product) -> str:
    """What the search engine knows of a product."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product["options"].items())
    first = product["features"][0] if product["features"] else ""
    return " ".join([product["title"], product["description"], first, options]).lower()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number}: damaged ({error})") from None
