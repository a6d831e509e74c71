"""Every figure by name, drawn when it is asked for: of series beside each other, and of one series' tokens."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial

from htpo.analysis.examples import Example, choose_examples
from htpo.analysis.findings import Findings
from htpo.analysis.forking_entropy import draw_forking_entropies, forking_entropies
from htpo.analysis.gradient_sources import draw_gradient_sources, gradient_sources, overall
from htpo.analysis.logic_share import draw_logic_shares, logic_shares
from htpo.analysis.logic_words import LogicWords, WordTable
from htpo.analysis.responses_picture import draw_responses
from htpo.analysis.sources import Series
from htpo.analysis.tokens import TokenTable, prompt_sample
from htpo.analysis.vocabulary import draw_word_clouds, token_vocabulary
from htpo.figures.drawing import Drawing
from htpo.figures.pass_at_k import draw_pass_at_k
from htpo.figures.training import draw_entropy_by_group, draw_one_group_alone, draw_training

Figures = dict[str, Callable[[], Drawing]]
"""What draws each figure; it raises `LeftOut` where that cannot be."""


def comparison_figures(series: Sequence[Series], reference: str | None, title: str) -> Figures:
    """Of several series on one axis, or of one.

    Args:
        reference: the method that a study compares the others with.
    """
    return {
        "training-dynamics": partial(draw_training, series, f"{title}: training dynamics"),
        "entropy-by-group": partial(draw_entropy_by_group, series, f"{title}: entropy by group"),
        "one-group-alone": partial(draw_one_group_alone, series, reference, f"{title}: one group's objective alone"),
        "pass-at-k": partial(draw_pass_at_k, series, f"{title}: held-out pass@k"),
    }


class TokenAnalysis:
    """The tokens of one series.

    Attributes:
        findings: what is found, as plain data; drawing a figure adds what it shows.
    """

    def __init__(self, table: TokenTable, title: str, logic_words: LogicWords, min_count: int):
        self.table, self.title = table, title
        self._logic_words, self._min_count = logic_words, min_count
        self._sample = prompt_sample(table.responses)
        self.findings: Findings = {
            "responses": len(table.responses),
            "tokens": len(table.tokens),
            "intervals": self._sample.described,
            "groups": table.groups,
        }

    @property
    def figures(self) -> Figures:
        """All that can be drawn of tokens."""
        return {
            "word-clouds": self._clouds,
            "logic-words": self._logic,
            "forking-entropy": self._forking,
            "gradient-sources": self._sources,
            "responses": self._responses,
        }

    @cached_property
    def examples(self) -> list[Example]:
        """The responses that are shown token by token."""
        return choose_examples(self.table)

    @property
    def heading(self) -> str:
        """Of the responses."""
        return f"{self.title}: responses, token by token"

    def _clouds(self) -> Drawing:
        found = token_vocabulary(self.table, self._min_count)
        self.findings["vocabulary"] = {end: getattr(found, end).to_dict("records") for end in ("highest", "lowest")}
        return draw_word_clouds(found, f"{self.title}: tokens of highest and lowest mean entropy")

    def _logic(self) -> Drawing:
        found = logic_shares(self.table, WordTable(self.table, self._logic_words), self._sample)
        self.findings["logic_words"] = found
        return draw_logic_shares(found, self._sample, f"{self.title}: logic words by token entropy")

    def _forking(self) -> Drawing:
        found = self.findings["forking_entropy"] = forking_entropies(self.table, self._sample)
        return draw_forking_entropies(found, self._sample, f"{self.title}: entropy of high-entropy tokens")

    def _sources(self) -> Drawing:
        shares = gradient_sources(self.table)
        self.findings["gradient_sources"] = overall(shares)
        return draw_gradient_sources(shares, self.table, f"{self.title}: where the gradient comes from")

    def _responses(self) -> Drawing:
        return draw_responses(self.examples, self.table.groups, self.heading)
