"""A shop ready to be searched: made once of the files that a user brings, and shared by all processes."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htpo.environments.remembered import cache_folder
from htpo.environments.webshop.goals import Goal, human_goals, synthetic_goals
from htpo.environments.webshop.products import Product, read_products, search_text, source_files

FORM = 2  # of what is kept; another number makes it anew
FOUND = 50  # products that a search finds at most
K1, B = 0.9, 0.4  # of BM25, as in the original's search engine
PRODUCTS_IN_MEMORY, SEARCHES_IN_MEMORY = 4096, 1024


class Shop:
    """Products, goals and the search index in a folder; what is not asked for stays on disk."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._products = Lines(folder / "products.jsonl")
        import bm25s

        self._index = bm25s.BM25.load(folder / "index", mmap=True)
        self.product = lru_cache(PRODUCTS_IN_MEMORY)(self._products.read)
        self.search = lru_cache(SEARCHES_IN_MEMORY)(self._search)

    @classmethod
    def of(cls, data: Path) -> "Shop":
        """The shop of the files in a folder, which is made when they are new or have changed.

        Raises:
            UserError: there are no products, or a file is damaged.
        """
        folder = cache_folder("webshop") / _digest(data)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_suffix(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _make(data, folder)
        return cls(folder)

    def goals(self, *, human: bool) -> "Lines":
        """What customers want, in the original's order."""
        return self._human if human else self._synthetic

    @cached_property
    def _human(self) -> "Lines":
        return Lines(self.folder / "human_goals.jsonl")

    @cached_property
    def _synthetic(self) -> "Lines":
        return Lines(self.folder / "synthetic_goals.jsonl")

    def _search(self, keywords: str) -> tuple[int, ...]:
        """The places of the products that fit best; equally good ones in their order."""
        words = _words([keywords])[0]
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return ()
        scores = self._index.get_scores(known)
        fitting = np.flatnonzero(scores > 0)
        best = fitting[np.argsort(-scores[fitting], kind="stable")]
        return tuple(int(place) for place in best[:FOUND])


class Lines:
    """A file with a JSON object in each line, any of which can be read."""

    def __init__(self, path: Path):
        self._path = path
        self._starts: NDArray[np.int64] = np.load(path.with_suffix(".npy"), mmap_mode="r")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, number: int) -> dict[str, Any]:
        """The object in one line, from 0."""
        with open(self._path, "rb") as file:
            file.seek(self._starts[number])
            read: dict[str, Any] = json.loads(file.read(int(self._starts[number + 1] - self._starts[number])))
            return read

    @staticmethod
    def write(path: Path, objects: Iterable[dict[str, Any]]) -> None:
        """Write objects, and where each begins."""
        starts = [0]
        with open(path, "wb") as file:
            for each in objects:
                file.write(json.dumps(each).encode("ascii") + b"\n")
                starts.append(file.tell())
        np.save(path.with_suffix(".npy"), np.asarray(starts, dtype=np.int64))


def _make(data: Path, folder: Path) -> None:
    """Write a shop aside, and rename it when it is whole."""
    from bm25s import BM25

    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        products: list[Product] = list(read_products(data))
        Lines.write(aside / "products.jsonl", products)
        goals: dict[str, list[Goal]] = {"synthetic": synthetic_goals(products), "human": human_goals(products)}
        for kind, listed in goals.items():
            Lines.write(aside / f"{kind}_goals.jsonl", listed)
        index = BM25(k1=K1, b=B)
        index.index(_words([search_text(product) for product in products]), show_progress=False)
        index.save(aside / "index", show_progress=False)
        os.replace(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _words(texts: list[str]) -> list[list[str]]:
    """The words that are searched by."""
    from bm25s import tokenize

    words: list[list[str]] = tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
    return words


def _digest(data: Path) -> str:
    """Changes with the files, by their names, sizes and times."""
    files = [path for path in source_files(data) if path is not None]
    facts = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return hashlib.sha256(json.dumps([FORM, version("bm25s"), facts]).encode()).hexdigest()[:32]
