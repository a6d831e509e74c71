"""What self-contained pages share: every text is escaped, and no script runs but the one a page was made with."""

import base64
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined


def render_page(template: str, script: str, filters: dict[str, Callable] | None = None, **values: Any) -> str:
    """A page from files of this folder: its template, which has `script` and `script_hash` beside `values`.

    Args:
        script: what the page runs, after what all pages with tokens run.
        filters: further filters of the template.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= filters or {}
    code = read_asset("tokens.js") + read_asset(script)
    page = environment.from_string(read_asset(template))
    return page.render(script=code, script_hash=policy_hash(code), **values)


def read_asset(name: str) -> str:
    """A text file of this folder."""
    return resources.files("htpo.report").joinpath(name).read_text(encoding="utf-8")


def policy_hash(text: str) -> str:
    """As a content security policy names a script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
