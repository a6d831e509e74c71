"""Tokens whose text is markup, script, template syntax, or no text at all."""

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import build
from tests.analysis.test_tokens import rollouts

HOSTILE = ['<script>alert("1")</script>', "' onfocus='x", "&amp;", "$x^$", "{{ 7 * 7 }}", "\u202ex", "漢", "\n"]


def hostile_tokens():
    columns = rollouts([[0.5] * len(HOSTILE)]).drop_columns(["tokens", "response", "prompt"])
    columns = columns.append_column("tokens", [[HOSTILE]]).append_column("response", [["".join(HOSTILE)]])
    table = build(columns.append_column("prompt", [['<img src=x onerror="y">']]), {})
    return TokenAnalysis(table, read_logic_words(), min_count=1)
