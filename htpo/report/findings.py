"""The findings of `htpo analyze` as Markdown."""

import re
from typing import Any

from htpo.analysis.findings import Findings, plain_words


def markdown(sections: dict[str, Findings], left_out: list[str], title: str) -> str:
    """The findings of every series, how to read them, and what is missing, as Markdown."""
    parts = [f"# Analysis: {_escape(title)}\n"]
    for name, findings in sections.items():
        if len(sections) > 1:
            parts.append(f"## {_escape(name)}\n")
        size = f"{findings['responses']:,} responses, {findings['tokens']:,} tokens"
        parts.append(f"{size}; {findings['intervals']}.\n")
        lines = plain_words(findings)
        parts.append("\n".join(f"- {_escape(line)}" for line in lines or ["nothing can be said of these"]) + "\n")
        if "vocabulary" in findings:
            parts += [_vocabulary(end, findings["vocabulary"][end]) for end in ("highest", "lowest")]
    if left_out:
        parts.append("## Left out\n")
        parts.append("\n".join(f"- {_escape(line)}" for line in left_out) + "\n")
    parts.append("What the figures show, and how every number is computed, is in docs/analyze.md.\n")
    return "\n".join(parts)


def _vocabulary(end: str, tokens: list[dict[str, Any]]) -> str:
    listed = ", ".join(f"{_code(token['token'])} ({token['mean_entropy']:.2f})" for token in tokens[:20])
    return f"Tokens of {end} mean entropy (nats): {listed}\n"


def _code(token: str) -> str:
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", token)), default=0))
    return f"{fence} {token} {fence}" if "`" in token else f"{fence}{token}{fence}"


def _escape(text: str) -> str:
    return "".join("\\" + c if c in "\\`*_[]<>|#" else c for c in " ".join(text.split()))
