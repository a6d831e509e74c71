# ruff: noqa: RUF001  (the characters that look like others are the point)
r"""One spelling for the many in which mathematics is written: pure functions from text to text.

Nothing here reads mathematics; two texts that differ only in what these functions remove mean the same.
"""

import re

from htpo.verifiers.math.spelling import TOKEN, as_latex, without_markdown

# What JSON made of `\frac` or `\text` whose backslash was not doubled: a control character and the rest of the name.
DAMAGED = re.compile(
    r"\f(?=rac|orall)|\x08(?=egin|inom|eta|ar|oxed|mod)|\t(?=ext|imes|heta|an|o\b|frac)|\r(?=ight|ho)|\n(?=olimits|eq\b)"
)
LETTER_OF_CONTROL = {"\f": "f", "\x08": "b", "\t": "t", "\r": "r", "\n": "n"}

SYMBOLS = {
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "−": "-", "–": "-", "∕": "/",
    "≤": r"\leq ", "⩽": r"\leq ", "≥": r"\geq ", "⩾": r"\geq ", "≠": r"\neq ", "≈": r"\approx ",
    "≃": r"\approx ", "℃": r"^{\circ}C", "℉": r"^{\circ}F",
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ",
    "°": r"^{\circ}", "º": r"^{\circ}", "√": r"\sqrt ", "∀": r"\forall ", "∃": r"\exists ", "¬": r"\neg ",
    "∧": r"\land ", "∨": r"\lor ", "⊂": r"\subset ", "∠": r"\angle ", "△": r"\triangle ", "′": "'", "’": "'",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "π": r"\pi ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ",
    "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ", "ξ": r"\xi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ",
    "φ": r"\varphi ", "ω": r"\omega ", "Δ": r"\Delta ", "Ω": r"\Omega ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "…": r"\ldots ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "，": ", ", "。": ".", "、": ", ",
}  # fmt: skip
SYMBOLS |= {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in SYMBOLS}  # full width
SYMBOL_TABLE = str.maketrans(SYMBOLS)
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n"))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
CIRCLED = {chr(0x2460 + index): str(index + 1) for index in range(20)}

SIZES = re.compile(
    r"\\(?:left|right)\s*\.|\\(?:left|right|middle|[bB]ig{1,2}[lrm]?|displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])\s*"
)
SPACES = re.compile(r"\\(?:quad|qquad|thinspace|enspace|hspace\{[^{}]*\}|hfill)(?![a-zA-Z])|(?<!\\)\\[,;: ]|~|\s+")
DEGREE_SIGN = r"(?:\\text\s*\{\s*(?:\\circ|o|\\degree)\s*\}|\\(?:text)?circ(?:led)?(?![a-zA-Z])|\\degree(?![a-zA-Z]))"
SYNONYMS = {
    name: command
    for command, names in {
        r"\frac": "dfrac tfrac cfrac", r"\binom": "dbinom tbinom", r"\leq ": "leqslant leqq le",
        r"\geq ": "geqslant geqq ge", r"\neq ": "ne", r"\cup ": "cupdot bigcup sqcup uplus",
        r"\approx ": "simeq thickapprox approxeq", r"\setminus ": "backslash smallsetminus",
        r"\emptyset ": "varnothing", r"\ldots ": "ldots cdots dots dotsc dotsb", r"\{": "lbrace", r"\}": "rbrace",
        "(": "langle", ")": "rangle", "<": "lt", ">": "gt", "|": "mid vert lvert rvert", ":": "colon",
    }.items()
    for name in names.split()
}  # fmt: skip
SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"<sup>([^<]*+)</sup>", r"^{\1}"),
        (r"<sub>([^<]*+)</sub>", r"_{\1}"),
        (r"\\[()\[\]]", " "),
        (r",\s*\\!|\{,\}(?=\d)|\\!", ""),
        (rf"\\({'|'.join(SYNONYMS)})(?![a-zA-Z])", lambda found: SYNONYMS[found[1]]),
        (r"<=|=<", r"\\leq "),
        (r">=|=>", r"\\geq "),
        (r"!=|\\not\s*=(?![a-zA-Z])", r"\\neq "),
        (r"(?<![a-zA-Z\\\\])(?:np|math)\.(?=[a-z])", r"\\"),
        (r"(?<=\d)\.(?=\s*[/}])", ""),
        (r"(?<=\d)\.{3,}", r"\\ldots "),
        (r"\\(?:mathbf|mathbb|Bbb)\s*\{?([RZNQC])\}?", r"\\mathbb{\1}"),
        (r"(?<=\\mathbb\{[A-Z]\}) ?[-/] ?(?=\\\{)", r"\\setminus "),
        (r"(?<=[)\]}])\s*(?:U|union)\s*(?=[(\[]|\\\{)", r" \\cup "),
        (r"(?<=matrix\})\s*\^\s*\{?\s*(?:\\(?:top|intercal)(?![a-zA-Z])|\\(?:text|mathrm)\s*\{\s*T\s*\})\s*\}?", "^T"),
        (r"\\(?:tan|sin|cos)\^\{-1\}", lambda match: "\\arc" + match.group()[1:4]),
        (r"\\(?:operatorname\*?|text|mathrm)\s*\{\s*(arc)?(sin|cos|tan|cot|sec|csc|ln|log|gcd|lcm|max|min)\s*\}",
         r"\\\1\2 "),
        (r"\\(?:textbf|textit|textrm|textsf|textup|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|emph)"
         r"(?![a-zA-Z])\s*(?=\{)", r"\\text"),
        (r"\\(?:textdollar|\$)", r"\\$"),
        (r"\\text\s*\{\s*\\?%\s*\}|\\%", "%"),
        (rf"\^\s*(?:\{{\s*{DEGREE_SIGN}\s*\}}|{DEGREE_SIGN})|\\(?:degree|textdegree)(?![a-zA-Z])|(?<=\d)\s?\\deg(?![a-zA-Z])",
         r"^{\\circ}"),
        (r"\^\s*\{\s*\^\{\\circ\}\s*\}", r"^{\\circ}"),
        (r"\+ ?/ ?-", r"\\pm "),
        (r"((?:\d[\u0304\u0305])+)", lambda found: rf"\overline{{{found[1][::2]}}}"),
        (r"(?<=\.)(\d)\1*+ \(?(?:repeating|recurring)\)?$", r"\\overline{\1}"),
        (r"\^\s*\{\s*\\prime\s*\}|\^\s*\\prime", "'"),
        (r"\\sqrt\s*(\d+|[a-z])(?![\d{\[])", r"\\sqrt{\1}"),
    )
]  # fmt: skip
TEXT = re.compile(r"\\text\s*\{((?:[^{}\\]|\\[^a-zA-Z]|\\[a-zA-Z]+\s*)*)\}")
UNIT_POSITION = re.compile(r"[\d})!'\]]\s*$|\\pi\s*$|\bx\s*$")
CONNECTIVE = re.compile(
    r"(?:and|or|for|where|with|if|when|is|are|such|otherwise|in|the|only|,|;|\.|\(|\))(?![a-z])", re.I
)
JOINABLE = re.compile(r"(?<!\d) | (?!\d)")
BRACE = re.compile(r"(?<!\\)[{}]")
SIGN = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
OPENING, CLOSING = {"(", "[", "{", r"\{"}, {")", "]", "}", r"\}"}


def clean(text: str) -> str:
    r"""`text` in one spelling: Unicode as LaTeX, synonyms (`\dfrac`, `\leqslant`, `\mathrm`), sizes and spaces folded,
    dollar signs and closing punctuation gone, `\text` only where a unit may stand, damage by JSON escapes repaired."""
    text = DAMAGED.sub(lambda match: "\\" + LETTER_OF_CONTROL[match.group()], text)
    text = without_markdown(text)
    text = re.sub("[" + "".join(RAISED) + "]+", lambda match: "^{" + _plain(match, RAISED) + "}", text)
    text = re.sub("[" + "".join(LOWERED) + "]+", lambda match: "_{" + _plain(match, LOWERED) + "}", text)
    text = re.sub("[①-⑳]+", lambda match: ", ".join(CIRCLED[circled] for circled in match.group()), text)
    text = text.translate(SYMBOL_TABLE)
    if not re.search(r"\\(?:begin|substack)", text):
        text = re.sub(r"\\\\(?=[a-zA-Z{}])", r"\\", text)
    text = SIZES.sub("", text)
    text = re.sub(r"(?<!\\)\$", " ", text)
    for pattern, replacement in SPELLINGS:
        text = pattern.sub(replacement, text)
    text = SPACES.sub(" ", text)
    text = TEXT.sub(_unwrapped, text)
    text = " ".join(as_latex(" ".join(text.split())).split())  # from here on no two spaces
    text = re.sub(r"\.(?=\s*[\])])", "", text)
    text = re.sub(r"^(?:=|:|\\implies|\\Rightarrow|\\therefore)\s*(?=\S)", "", text)
    kept = text.rstrip(" .,;:^")
    text = text[: len(kept) + 1] if kept.endswith("\\") else kept  # `\;` is a command
    braces = BRACE.findall(text)
    return text[:-1].rstrip() if text.endswith("}") and braces.count("}") > braces.count("{") else text


def _plain(match: re.Match, table: dict[str, str]) -> str:
    return "".join(table[character] for character in match.group())


def _unwrapped(match: re.Match) -> str:
    content = match.group(1)
    after_number = UNIT_POSITION.search(match.string[max(0, match.start() - 8) : match.start()])
    return match.group() if after_number and not CONNECTIVE.match(content.strip()) else f" {content} "


def squashed(text: str) -> str:
    r"""A cleaned text without spaces and needless braces: `x^{2}` and `x ^2` are both `x^2`; `3 4` is not `34`."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"(\\[a-zA-Z]+) (?=[a-zA-Z])", r"\1{}", text)
    text = re.sub(r"([\^_])\{(\w)\}", r"\1\2", JOINABLE.sub("", text))
    return text.replace("\\cdot", "*").replace("\\times", "*").replace("{}", " ")


def both_signs(text: str) -> list[str]:
    r"""The text with the upper signs of `\pm` and `\mp`, and with the lower ones; the text alone where it has none."""
    if not SIGN.search(text):
        return [text]
    upper = text.replace("\\pm", "+").replace("\\mp", "-")
    lower = text.replace("\\pm", "-").replace("\\mp", "+")
    return [re.sub(r"^\s*\+", "", re.sub(r"([({=])\s*\+", r"\1", part)).strip() for part in (upper, lower)]


def split_outside(text: str, separator: re.Pattern) -> list[str]:
    r"""The pieces of `text` between matches of `separator` that lie outside all brackets; brackets need not pair up
    (`(3, 4]`), and `\{` counts as one."""
    pieces, start, depth, position = [], 0, 0, 0
    while position < len(text):
        found = separator.match(text, position) if depth <= 0 else None
        if found and found.end() > position:
            pieces.append(text[start:position])
            start = position = found.end()
            continue
        token = TOKEN.match(text, position).group()
        depth += (token in OPENING) - (token in CLOSING)
        position += len(token)
    return [piece.strip() for piece in [*pieces, text[start:]]]


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Opening bracket, content, closing bracket of a text that is one bracketed group; None for any other."""
    tokens = TOKEN.findall(text)
    if len(tokens) < 2 or tokens[0] not in OPENING or tokens[-1] not in CLOSING:
        return None
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token in OPENING) - (token in CLOSING)
        if depth == 0 and index < len(tokens) - 1:
            return None
    return (tokens[0], "".join(tokens[1:-1]).strip(), tokens[-1]) if depth == 0 else None
