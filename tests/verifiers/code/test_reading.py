"""Which block of a response is its solution, in whatever way models write fences; in linear time."""

import importlib
import pkgutil
from functools import partial

import pytest

import htpo.verifiers.code
import htpo.verifiers.reasoning_gym
from htpo.verifiers import reasoning_text
from htpo.verifiers.code.reading import body_continuing_prompt, is_body, last_code_block, unfenced_functions
from tests.verifiers.linear_time import patterns_of, too_slow, uses

PYTHON_FENCES = [
    "```python", "```Python", "```py", "```python3", "``` python", '```python title="a.py"', "```{.python}",
    "```{python}", "```{.python .numberLines}", "```python, linenos", "````python", "~~~python", "~~~~ py", "```",
    "```ipython3",
]  # fmt: skip


@pytest.mark.parametrize("fence", PYTHON_FENCES)
@pytest.mark.parametrize("indent", ["", "   ", "\t", "      "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_fence_is_read_however_it_is_written(fence, indent, end):
    mark = fence[0] * (len(fence) - len(fence.lstrip(fence[0])))
    code = ["def f(x):", "    return x", "", "print(f(3))"]
    lines = ["Here it is:", "", *(indent + line for line in [fence, *code, mark]), "", "Done."]
    assert last_code_block(end.join(lines)) == "\n".join(code)


@pytest.mark.parametrize("mark", ["1. ", "2) ", "- ", "* "])
def test_a_fence_may_stand_beside_the_mark_of_a_list(mark):
    indent = " " * len(mark)
    assert last_code_block(f"{mark}```python\n{indent}x = 1\n{indent}print(x)\n{indent}```") == "x = 1\nprint(x)"


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("```python\nprint(3)\n```\nIt prints\n```\n3\n```", "print(3)"),
        ("```python\nprint(3)\n```\n```text\n3\n```", "print(3)"),
        ("```python\nprint(3)\n```\n```output\n3\n```\n```bash\npython a.py\n```", "print(3)"),
        ("```\nprint(3)\n```\nIt prints\n```\n3\n```", "print(3)"),
        ("```python\nprint(1)\n```\nbetter\n```\nprint(3)\n```", "print(3)"),
        ("```python\nprint(1)\n```\n```python\nprint(3)\n```", "print(3)"),
        ("```\n3\n```", "3"),
        ("```java\nx\n```", None),
        ("```python\nprint(1)\n```\n```python\nprint(3)", None),
        ("~~~python\n```\n~~~", "```"),
        ("```python\ns = '```'\n```", "s = '```'"),
        ("The code: ```python\nx\n```", "x"),
        ("Use ```python``` fences.", None),
        ("```python\nprint(3)\n``` That prints it.", "print(3)"),
        ("```python\nx\n``` python y\nz\n```", "x\n``` python y\nz"),
        ("```python:solution.py\nx\n```", "x"),
        ("```python{1,3}\nx\n```", "x"),
        ("```pycon\n>>> 1\n```", None),
        ("``python\nx\n``", None),
        ("`` ` ``\n1.5 is no list", None),
    ],
)
def test_of_several_blocks_the_last_that_is_code_counts(response, code):
    assert last_code_block(response) == code


def test_functions_without_a_fence_are_taken_where_the_prompt_began_them():
    code = "import math\n\ndef f(x):\n    # twice\n    return 2 * x"
    assert unfenced_functions(f"Sure.\n\n{code}\n\nIt doubles x.", ["f"]) == f"{code}\n"
    assert unfenced_functions(code, ["g"]) is None
    assert unfenced_functions(code, []) is None
    assert unfenced_functions(f"{code}\n```python\npass\n```", ["f"]) is None


def test_a_body_without_a_fence_goes_on_where_the_prompt_ended():
    assert body_continuing_prompt("    return a + b\n\nprint('more')") == "    return a + b\n"
    assert body_continuing_prompt("return a + b") is None
    assert body_continuing_prompt("  \n") is None
    assert body_continuing_prompt("    x\n```python\ny\n```") is None
    assert body_continuing_prompt("    x = 1\n    return x\n```\nThat is it.") == "    x = 1\n    return x"
    assert is_body("\n    return 1")
    assert not is_body("def f():\n    return 1")


def test_every_reader_of_a_solution_takes_linear_time():
    rooms = [htpo.verifiers.code, htpo.verifiers.reasoning_gym]
    names = [f"{room.__name__}.{m.name}" for room in rooms for m in pkgutil.iter_modules(room.__path__) if not m.ispkg]
    modules = [reasoning_text, *(importlib.import_module(name) for name in names)]
    functions = partial(unfenced_functions, names=["f"])
    patterns = {f"{name}.{way}": use for name, p in patterns_of(modules).items() for way, use in uses(p).items()}
    assert (
        too_slow({"block": last_code_block, "body": body_continuing_prompt, "functions": functions, **patterns}) == []
    )


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("```python\nx\n```", "x"),
        ("```\nx\n```", "x"),
        ("```py\nx\n```  \nDone.", "x"),
        ("```Python\nx\n\ny\n```", "x\n\ny"),
        ("```python\r\nx\r\n```\r\n", "x"),
        ("```python\nx\n```\nbetter:\n```python\ny\n```", "y"),
        ("```python\nx\n```\nsample output:\n```text\n1\n```", "x"),
        ("  ```python\n  x\n  ```", "x"),
        ("````python\n```\nx\n```\n````", "```\nx\n```"),
        ("```python\ns = '``` '\n```", "s = '``` '"),
        ("```python\n```", ""),
        ("```python\nx\n```\n```python\ny", None),
        ("```python\nx\n```\n```text\ny", None),
        ("```java\nx\n```", None),
        ("x", None),
        ("`x`", None),
        ("", None),
    ],
)
def test_the_code_is_the_last_closed_block_that_is_python_or_plain(response, code):
    assert last_code_block(response) == code
