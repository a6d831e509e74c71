"""Which of a response's code blocks is its solution. Reads model output line by line, in linear time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PYTHON = {"python", "python3", "py", "py3", "pypy", "pypy3", "cpython", "ipython", "ipython3"}
SHORTEST_FENCE = 3
CODE_STARTS = (
    "def ",
    "class ",
    "import ",
    "from ",
    "@",
    "for ",
    "while ",
    "if ",
    "with ",
    "try:",
    "print(",
    "async def ",
)
"""How a line begins that is Python and not the sample output of a program."""
DEFINITION_STARTS = ("def ", "class ", "import ", "from ", "@", "async ")


@dataclass
class _Block:
    mark: str  # the character of its fence
    width: int  # how many of them
    indent: int  # of the fence: so much is taken off every line
    language: str  # in lower case, "" where none is named
    lines: list[str]

    @property
    def content(self) -> str:
        return "\n".join(self.lines)

    @property
    def is_code(self) -> bool:
        """Whether it is Python by name, or names no language and has a line that only code has."""
        unnamed = not self.language and any(line.lstrip().startswith(CODE_STARTS) for line in self.lines)
        return self.language in PYTHON or unnamed


def last_code_block(response: str) -> str | None:
    """The content of the last fenced block that is Python, or None when there is none.

    A fence is a line of three or more backticks or tildes, however indented, a list's mark before it or not; its first
    word is the language (`python`, `py title="a.py"`, `{.python}`). It is closed by a line of at least as many, alone
    or before a space and prose. Its own indentation is taken off the lines of the block. A block without a language
    counts when it looks like code, or when there is no other: after the program there often stands its sample output.
    When the last fence of any language never closes there is no answer: what stands in earlier blocks was not the final
    one.
    """
    last = last_unnamed = opened = None
    for line in response.split("\n"):
        line = line.removesuffix("\r")
        if opened is None:
            opened = _opening(line)
        elif _closes(line, opened):
            last = opened if opened.is_code else last
            last_unnamed = opened if not opened.language else last_unnamed
            opened = None
        else:
            opened.lines.append(_without_indent(line, opened.indent))
    found = last or last_unnamed
    return None if opened is not None or found is None else found.content


def body_continuing_prompt(response: str) -> str | None:
    """The function body that a response begins with, as base models continue a prompt; else None.

    It ends where a line that is not blank is not indented, or with a fence that closes what the prompt had opened; any
    other fence makes it none.
    """
    lines = response.split("\n")
    fence = next((index for index, line in enumerate(lines) if _opening(line)), len(lines))
    if fence < len(lines) and lines[fence].strip(" \t`~\r"):
        return None
    body = list(_indented(lines[:fence]))
    return "\n".join(body) if any(line.strip() for line in body) else None


def unfenced_functions(response: str, names: Sequence[str]) -> str | None:
    """The definitions in a response without any fence, where those of `names` are among them; else None.

    They begin with the first line of code, and end where a line that is not indented is none.
    """
    lines = response.split("\n")
    if any(_opening(line) for line in lines):
        return None
    start = next((index for index, line in enumerate(lines) if line.startswith(DEFINITION_STARTS)), len(lines))
    taken = []
    for line in lines[start:]:
        if line.strip() and line[0] not in " \t#)]}" and not line.startswith(DEFINITION_STARTS):
            break
        taken.append(line)
    defined = all(any(line.startswith(f"def {name}(") for line in taken) for name in names)
    return "\n".join(taken) if names and defined else None


def is_body(code: str) -> bool:
    """Whether code begins inside a function: its first line that is not blank is indented."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    return first[:1] in (" ", "\t")


def _indented(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() and line[0] not in " \t":
            return
        yield line


def _opening(line: str) -> _Block | None:
    """The block that a line opens, or None."""
    text = _without_list_mark(line.lstrip(" \t"))
    if not text.startswith(("`", "~")):
        return _opening_after_text(text)
    mark = text[0]
    information = text.lstrip(mark)
    width = len(text) - len(information)
    if width < SHORTEST_FENCE or (mark == "`" and "`" in information):
        return None
    return _Block(mark, width, len(line) - len(text), _language(information), [])


def _opening_after_text(text: str) -> _Block | None:
    """The block that a fence at the end of a line of text opens, where it names Python and nothing else."""
    _, fence, language = text.rpartition("`" * SHORTEST_FENCE)
    return _Block("`", SHORTEST_FENCE, 0, "python", []) if fence and language.strip().lower() in PYTHON else None


def _language(information: str) -> str:
    """The letters and digits that the words after a fence begin with: `python` of `python:a.py` or `{.python #x}`."""
    text = information.strip().lstrip("{. ").lower()
    length = next((index for index, letter in enumerate(text) if not letter.isalnum()), len(text))
    return text[:length]


def _closes(line: str, block: _Block) -> bool:
    text = line.strip(" \t")
    after = text.lstrip(block.mark)
    is_end = not after or (after[0] == " " and len(after.split()) > 1 and _language(after) not in PYTHON)
    return len(text) - len(after) >= block.width and is_end


def _without_list_mark(text: str) -> str:
    """`- text`, `* text` or `1. text` without the mark."""
    number = text[:4].split(".")[0].split(")")[0]
    mark = len(number) + 1 if number.isdigit() else 1 if text[:1] in ("-", "*", "+") else 0
    return text[mark:].lstrip(" \t") if mark and text[mark : mark + 1] == " " else text


def _without_indent(line: str, indent: int) -> str:
    blank = len(line) - len(line.lstrip(" \t"))
    return line[min(blank, indent) :]
