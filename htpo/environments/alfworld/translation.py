"""From PDDL to what the planner plays: most of the time that a reset takes, so that it is done once for each game.

The translation is text. It is kept compressed, beside the game's digest, and read back by the planner alone.
"""

import contextlib
import gzip
import hashlib
import sys
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from htpo.environments.remembered import cache_folder, write_whole

GAMES = 64  # whose translation and grammar are held in memory; about 2 MB each


def remember_translations() -> None:
    """Let `textworld` ask here for translations. Its second one, for replanning, which is not played, is left out."""
    import fast_downward

    translate = fast_downward.pddl2sas

    @lru_cache(GAMES)
    def remembered(domain: str, problem: str) -> tuple[Any, str]:
        return _translation(translate, domain, problem)

    def asked(domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> tuple[Any, str]:
        return (None, "") if optimize else remembered(domain, problem)

    fast_downward.pddl2sas = asked


def _translation(translate: Callable[..., tuple[Any, str]], domain: str, problem: str) -> tuple[Any, str]:
    digest = hashlib.sha256("\0".join([version("fast_downward_textworld"), domain, problem]).encode()).hexdigest()
    path = cache_folder("alfworld") / digest[:2] / f"{digest}.sas.gz"
    with contextlib.suppress(OSError, EOFError, UnicodeDecodeError, zlib.error):  # not there, or damaged: done again
        sas = gzip.decompress(path.read_bytes()).decode()
        return _parsed(domain, problem), sas
    task, sas = translate(domain, problem)
    with contextlib.suppress(OSError):  # a full or read-only disk costs time, not the game
        write_whole(path, gzip.compress(sas.encode(), mtime=0))
    return task, sas


def _parsed(domain: str, problem: str) -> Any:
    """The problem's objects and actions, which the planner does not give back."""
    from fast_downward.interface import CapturingStdout

    arguments, sys.argv = sys.argv, ["translate.py", "domain", "task"]  # which it reads when it is imported
    try:
        from fast_downward.translate import normalize
        from fast_downward.translate.pddl_parser import lisp_parser, parsing_functions
    finally:
        sys.argv = arguments

    with CapturingStdout():
        texts = [lisp_parser.parse_nested_list(text.split("\n")) for text in (domain, problem)]
        task = parsing_functions.parse_task(*texts)
        normalize.normalize(task)
    return task
