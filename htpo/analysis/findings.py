"""What the analyses found, in plain words."""

import re
from collections.abc import Iterator
from typing import Any

from htpo.statistics import direction, estimate_text, number_text

Findings = dict[str, Any]
VERDICTS = {1: "holds", -1: "the opposite holds", 0: "not decided, the interval contains 0"}


def plain_words(findings: Findings) -> list[str]:
    """A line per finding: whether it holds, the numbers and their intervals."""
    return list(_lines(findings))


def _lines(findings: Findings) -> Iterator[str]:
    if "logic_words" in findings:
        shares = findings["logic_words"]["tokens"]["all"]
        yield (
            "High-entropy tokens begin a logic word more often than low-entropy ones: "
            f"{verdict(shares['difference'])}. Of {shares['high_tokens']:,} high-entropy tokens "
            f"{estimate_text(shares['high'], '.1%')}, of {shares['low_tokens']:,} low-entropy ones "
            f"{estimate_text(shares['low'], '.1%')}."
        )
    if "forking_entropy" in findings:
        yield from _forking_lines(findings["forking_entropy"])
    if "gradient_sources" in findings:
        yield from _gradient_lines(findings["gradient_sources"], findings["groups"])


def _forking_lines(found: Findings) -> Iterator[str]:
    for name, compared in found.items():
        if name == "same prompt":
            continue
        claim = "High-entropy tokens of wrong responses have higher entropy than those of correct ones"
        wrong, correct = compared["wrong"], compared["correct"]
        yield (
            f"{claim if name == 'all' else f'The same on {name} prompts'}: {verdict(compared['difference'])}. "
            f"{number_text(wrong['value'], '.3f', wrong['why'])} nats in {compared['wrong_responses']:,} wrong, "
            f"{number_text(correct['value'], '.3f', correct['why'])} in {compared['correct_responses']:,} correct "
            f"responses, difference {estimate_text(compared['difference'], '+.3f')}."
        )
    if "same prompt" in found:
        pair = found["same prompt"]
        yield (
            f"The same among responses to one prompt in one update: {verdict(pair['difference'])}. Difference "
            f"{estimate_text(pair['difference'], '+.3f')} nats over {pair['prompts']:,} prompts."
        )


def _gradient_lines(shares: Findings, groups: dict[str, str]) -> Iterator[str]:
    pulls = _known(shares, "weight_share")
    if pulls:
        most = max(pulls, key=pulls.get)
        yield (
            f"The largest part of the gradient comes from {groups[most]}: {pulls[most]:.0%} of sum |w A| "
            f"with {shares[most]['token_share']:.0%} of the tokens."
        )
    else:
        yield f"Each group's share of the gradient: {number_text(None, '.0%', 'w A is 0 for every token')}."
    changes = _known(shares, "entropy_change_share")
    if not changes:
        why = "within an update all tokens have the same log-probability or the same advantage"
        yield f"Each group's share of the predicted entropy change: {number_text(None, '.0%', why)}."
        return
    for word, end in (("lower", min), ("raise", max)):
        name = end(changes, key=changes.get)
        change = changes[name]
        if change and (change < 0) == (word == "lower"):
            yield f"{groups[name]} is predicted to {word} entropy most: {abs(change):.0%} of the absolute change."


def _known(shares: Findings, name: str) -> dict[str, float]:
    """A share by group, without the groups of which it is not known."""
    return {group: one[name] for group, one in shares.items() if one[name] is not None}


def verdict(difference: dict[str, Any]) -> str:
    """What an interval of a difference says of "it is above 0"."""
    if difference["low"] is None:
        return f"not decided, {difference['why']}"
    return VERDICTS[direction(difference)]


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
