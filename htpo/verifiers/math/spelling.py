r"""Mathematics typed as plain text, in LaTeX: `sqrt(2)`, `pi`, `x**2`, `\frac12`, Markdown. Pure functions of text.

Every one takes time in proportion to the text: brackets are paired once, not once for each name.
"""

import re

BOLD = re.compile(r"(?<![\w)\]}*])\*\*(?=[^\s*])([^*]++)\*\*(?![\w(\[{*])")
MARKS = ("***", "**", "*", "```", "`", "__", "_")  # of Markdown, around the whole of a text
ABOUT = re.compile(
    r"^(?:(?:is\s+)?(?:approximately|approx\.?|about|roughly|around|nearly)(?![a-zA-Z])"
    r"|(?:there (?:are|is)(?: a total of)?|a total of) (?=\d)|\\(?:approx|sim|simeq)(?![a-zA-Z])|~)\s*",
    re.IGNORECASE,
)
REMARK = re.compile(r" \((?:approximately|approx\.?|rounded)\)$", re.IGNORECASE)
POWER = re.compile(r" ?\*\* ?(-?\d++(?:\.\d++)?|-[a-z])?")
GROUPED_BY_SPACES = re.compile(r"(?<![\w.^_])(?<![\w.] )\d{1,3}(?: \d{3})++(?! ?\d)(?![\w/^])")
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)

TWO_ARGUMENTS = {r"\frac", r"\binom"}
NO_ARGUMENT = {*"}])&,;=+-*/", r"\}"}

GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "sigma", "phi", "omega", "rho", "tau")
CONSTANTS = {
    **{name: f"\\{name} " for name in GREEK},
    **dict.fromkeys(("infinity", "Infinity", "infty", "inf", "oo"), "\\infty "),
}
TRIGONOMETRIC = ("sin", "cos", "tan")
FUNCTIONS = {
    name: f"\\{name}" for name in (*TRIGONOMETRIC, "cot", "sec", "csc", "sinh", "cosh", "tanh", "ln", "log", "exp")
}
FUNCTIONS |= {f"{a}{name}": f"\\arc{name}" for name in TRIGONOMETRIC for a in ("a", "arc")}
AROUND = {  # of functions that are written around their argument
    "sqrt": (r"\sqrt{", "}"), "cbrt": (r"\sqrt[3]{", "}"), "abs": ("|", "|"), "floor": (r"\lfloor ", r"\rfloor "),
    "ceil": (r"\lceil ", r"\rceil "), r"\sqrt": (r"\sqrt{", "}"),
}  # fmt: skip
WRITTEN_AROUND = re.compile(r"(?<![a-zA-Z\\])(?:sqrt|cbrt|abs|floor|ceil)\s?(?=\()|\\sqrt\s?(?=\()")
BARE_ROOT = re.compile(r"(?<![a-zA-Z\\])sqrt\s?(\d++|[a-z](?![a-zA-Z]))")
FUNCTION = re.compile(rf"(?<![a-zA-Z\\])({'|'.join(FUNCTIONS)})(?=\s?[(\\\d^_|]|\s[a-z](?![a-zA-Z])|[xt](?![a-zA-Z]))")
CONSTANT = re.compile(rf"(?<![a-zA-Z\\])({'|'.join(CONSTANTS)})(?![a-zA-Z])")
SIGNED_INFINITY = re.compile(r"(?<![a-zA-Z])(?:(negative|minus)|positive|plus) (?=\\?inf)", re.IGNORECASE)
NUMBER_SET = re.compile(r"(?<=[a-zA-Z] )in ([NZQRC])(?![a-zA-Z])")
BINOMIAL = re.compile(r"(?<![a-zA-Z\\])binom\((\w++), ?(\w++)\)")
OF_A_LIST = re.compile(r"(?<![a-zA-Z\\])(max|min|gcd|lcm)(?=\()")
LOGARITHM = re.compile(r"(?<![a-zA-Z\\])log(\d++) ?(?=\()")
PI = re.compile(r"(?<![a-zA-Z\\])([a-z]?)pi(?![a-zA-Z])")


def without_markdown(text: str) -> str:
    r"""Without bold, italics and code marks (`**73**`), and without line breaks (`\\`) at the ends."""
    text = text.strip().removesuffix("\\newline").rstrip("\\ \t\r\n")
    while text.startswith("\\\\ "):
        text = text[2:].lstrip()
    for mark in MARKS:
        inner = text[len(mark) : -len(mark)].strip()
        if inner and text.startswith(mark) and text.endswith(mark) and mark[0] not in inner:
            text = inner
    return BOLD.sub(r"\1", text)


def as_latex(text: str) -> str:
    r"""Names without backslash and powers by `**` in LaTeX, fractions and roots with their braces, digits grouped by
    spaces (`12 345`) together; words as they are."""
    text = REMARK.sub("", ABOUT.sub("", text))
    text = POWER.sub(lambda found: f"^{{{found[1]}}}" if found[1] else "^", text)
    text = GROUPED_BY_SPACES.sub(lambda found: found[0].replace(" ", ""), text)
    text = SIGNED_INFINITY.sub(lambda found: "-" if found[1] else "", text)
    text = BARE_ROOT.sub(r"\\sqrt{\1}", text)
    text = _written_around(BINOMIAL.sub(r"\\binom{\1}{\2}", LOGARITHM.sub(r"\\log_{\1}", text)))
    text = NUMBER_SET.sub(r"\\in \\mathbb{\1}", text)
    text = OF_A_LIST.sub(r"\\\1", text)
    text = PI.sub(r"\1\\pi ", text)
    text = CONSTANT.sub(lambda found: CONSTANTS[found[1]], text)
    return braced(FUNCTION.sub(lambda found: FUNCTIONS[found[1]], text))


def _written_around(text: str) -> str:
    """`sqrt(...)`, `abs(...)` and the like with their own signs in place of the round brackets."""
    if not WRITTEN_AROUND.search(text):
        return text
    partner = _partners(text, "(", ")")
    changed = list(text)
    for found in WRITTEN_AROUND.finditer(text):
        if found.end() in partner:
            opening, closing = AROUND[found[0].strip()]
            changed[found.start() : found.end() + 1] = [opening] + [""] * (found.end() - found.start())
            changed[partner[found.end()]] = closing
    return "".join(changed)


def _partners(tokens: str | list[str], opening: str, closing: str) -> dict[int, int]:
    """The place of the closing bracket for each opening one that has one."""
    partner, waiting = {}, []
    for place, token in enumerate(tokens):
        if token == opening:
            waiting.append(place)
        elif token == closing and waiting:
            partner[waiting.pop()] = place
    return partner


def braced(text: str) -> str:
    r"""`\frac{p}q`, `\frac12`, `\binom n2`, `\sqrt\pi` and `2^\frac12` with braces around each argument."""
    if not re.search(r"\\(?:frac|binom|sqrt)(?![a-zA-Z])", text):
        return text
    braces = _Braces(TOKEN.findall(text))
    for place in range(len(braces.tokens) - 1, -1, -1):  # from the right: an argument's own arguments are done by then
        if braces.tokens[place] == "\\sqrt":
            braces.put_around_power(place, braces.put_around(braces.after_index(place + 1)))
        elif braces.tokens[place] in TWO_ARGUMENTS:
            second = braces.put_around(place + 1)
            if second is not None:
                braces.put_around_power(place, braces.put_around(second))
    return str(braces)


class _Braces:
    """Tokens of a text, and the braces that are put around some of them."""

    def __init__(self, tokens: list[str]):
        self.tokens = tokens
        self.curly, self.square = _partners(tokens, "{", "}"), _partners(tokens, "[", "]")
        self.put: dict[int, int] = {}  # from the first token within new braces to the token after them
        self.without_argument: set[int] = set()  # roots that have none

    def __str__(self) -> str:
        closing: dict[int, int] = {}
        for end in self.put.values():
            closing[end] = closing.get(end, 0) + 1
        parts = [
            "}" * closing.get(place, 0) + "{" * (place in self.put) + token
            for place, token in enumerate([*self.tokens, ""])
        ]
        return "".join(parts)

    def after_index(self, place: int) -> int:
        """The place after a root's index, `[3]`, where one begins here."""
        return self.square[place] + 1 if place in self.square else place

    def put_around_power(self, place: int, end: int | None) -> None:
        r"""See that the fraction or root from `place` to `end` has braces where it is a power: `2^\frac12`."""
        before = place - 1 - (place > 0 and self.tokens[place - 1] == " ")
        if end is not None and before >= 0 and self.tokens[before] == "^":
            self.put[place] = end

    def put_around(self, place: int) -> int | None:
        """See that the argument that begins here has braces; the place after it, None where there is no argument."""
        while place < len(self.tokens) and self.tokens[place] == " ":
            place += 1
        if place in self.put:
            return self.put[place]
        if place == len(self.tokens) or self.tokens[place] in NO_ARGUMENT or place in self.without_argument:
            return None
        if self.tokens[place] == "{":
            return self.curly[place] + 1 if place in self.curly else None
        end: int | None = place + 1
        if self.tokens[place] == "\\sqrt":
            end = self.put_around(self.after_index(place + 1))
        elif self.tokens[place] in TWO_ARGUMENTS:
            second = self.put_around(place + 1)
            end = None if second is None else self.put_around(second)
        if end is None:
            self.without_argument.add(place)
        else:
            self.put[place] = end
        return end
