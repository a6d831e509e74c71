"""verl's validation as pass rates on held-out problems."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from htpo.engines.verl.group_facts import session_of
from htpo.engines.verl.reward import POLICY_TOKENS
from htpo.statistics.pass_rates import PassRates, choose_examples


@dataclass
class Validation:
    """A validation of verl's under way: what its driver says of it, in the order in which it does.

    Args:
        limit: tokens of a response.
        threshold: an answer is correct when its `acc` is above it.
    """

    limit: int
    threshold: float
    lengths: Counter[tuple[str, str]] = field(default_factory=Counter)  # tokens by session, of all its rows
    cut_off: set[tuple[str, str]] = field(default_factory=set)  # sessions with a row at the limit
    texts: list[tuple[str, str]] = field(default_factory=list)  # prompt and response of every sample

    def see_rows(self, keys: Sequence[str], lengths: Sequence[int]) -> None:
        """Rows were sampled: verl's names of them, and tokens of each."""
        for key, length in zip(keys, lengths, strict=True):
            uid, session, _ = session_of(key)
            self.lengths[uid, session] += length
            if length >= self.limit:
                self.cut_off.add((uid, session))

    def pass_rates(
        self, uids: Sequence[str], infos: Mapping[str, Sequence[Any]], asked: Mapping[str, int]
    ) -> PassRates | None:
        """How often every problem was answered correctly; None where that cannot be said.

        That is where the reward function says no `acc`, where problems were asked unequally often, and where one has
        no answer at all. An answer whose sampling failed is wrong, as verl has it. Problems are in the order of their
        prompts, so that measurements of the same problems can be paired.

        Args:
            uids: of every sample, verl's name of the problem, which is another one each time.
            infos: of every sample, by name, what the reward function said.
            asked: by problem, how many samples were asked for.
        """
        said = infos.get("acc")
        if said is None or set(asked) != set(uids) or len({*asked.values()}) != 1:
            return None
        right = [value is not None and value > self.threshold for value in said]
        correct: Counter[str] = Counter()
        prompts = {}
        for uid, verdict, (prompt, _) in zip(uids, right, self.texts, strict=True):
            correct[uid] += verdict
            prompts[uid] = prompt
        order = sorted(prompts, key=lambda uid: prompts[uid])
        return PassRates(
            samples=asked[uids[0]],
            correct=tuple(correct[uid] for uid in order),
            mean_length=statistics.fmean(_known(infos, POLICY_TOKENS) or self.lengths.values()),
            truncated=statistics.fmean(
                [not ended for ended in _known(infos, "finished")] or [key in self.cut_off for key in self.lengths]
            ),
            failures=dict(Counter(kind for kind in infos.get("failure", ()) if kind)),
            examples=choose_examples(
                [
                    {"prompt": prompt, "response": response, "correct": verdict}
                    for (prompt, response), verdict in zip(self.texts, right, strict=True)
                ]
            ),
        )


def _known(infos: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any]:
    """What was said of every sample under a name; nothing where it was not said of each."""
    values = infos.get(name, ())
    return () if any(value is None for value in values) else values
