"""What the analyses found, in plain words."""

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
