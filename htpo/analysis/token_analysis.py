"""`TokenAnalysis`: all that is computed of the tokens of one series."""

from contextlib import suppress
from functools import cached_property
from typing import Any

import pandas as pd

from htpo.analysis.examples import Example, choose_examples
from htpo.analysis.findings import Findings
from htpo.analysis.forking_entropy import forking_entropies
from htpo.analysis.gradient_sources import gradient_sources, overall
from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_share import logic_shares
from htpo.analysis.logic_words import LogicWords, WordTable
from htpo.analysis.tokens import TokenTable, prompt_sample
from htpo.analysis.vocabulary import Vocabulary, token_vocabulary


class TokenAnalysis:
    """Each part is computed once, when it is asked for; it raises `LeftOut` where that cannot be.

    Args:
        min_count: rarer tokens are not ranked by mean entropy.
    """

    def __init__(self, table: TokenTable, logic_words: LogicWords, min_count: int):
        self.table = table
        self.sample = prompt_sample(table.responses)
        self._logic_words, self._min_count = logic_words, min_count

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens of highest and lowest mean entropy."""
        return token_vocabulary(self.table, self._min_count)

    @cached_property
    def _words(self) -> WordTable:
        return WordTable(self.table, self._logic_words)

    @cached_property
    def logic_shares(self) -> dict[str, Any]:
        """Shares of tokens that begin a logic word, as `htpo.analysis.logic_share` has them."""
        return logic_shares(self.table, self._words, self.sample)

    @cached_property
    def forking_entropies(self) -> dict[str, Any]:
        """Mean entropies of high-entropy tokens, as `htpo.analysis.forking_entropy` has them."""
        return forking_entropies(self.table, self.sample)

    @cached_property
    def gradient_sources(self) -> pd.DataFrame:
        """Each group's shares by run and update, as `htpo.analysis.gradient_sources` has them."""
        return gradient_sources(self.table)

    @cached_property
    def examples(self) -> list[Example]:
        """The responses that are shown token by token."""
        return choose_examples(self.table)

    @property
    def example_groups(self) -> list[str]:
        """Labels of the groups that occur in them."""
        used = sorted({int(number) for example in self.examples for number in example.tokens["group"] if number > 0})
        return [self.table.groups.get(f"G{number}", f"G{number}") for number in used]

    @property
    def findings(self) -> Findings:
        """What is found, as plain data, without the parts that cannot be computed."""
        found: Findings = {
            "responses": len(self.table.responses),
            "tokens": len(self.table.tokens),
            "intervals": self.sample.described,
            "groups": self.table.groups,
        }
        with suppress(LeftOut):
            found["vocabulary"] = {
                end: getattr(self.vocabulary, end).to_dict("records") for end in ("highest", "lowest")
            }
        with suppress(LeftOut):
            found["logic_words"] = self.logic_shares
        with suppress(LeftOut):
            found["forking_entropy"] = self.forking_entropies
        with suppress(LeftOut):
            found["gradient_sources"] = overall(self.gradient_sources)
        return found
