"""The benchmarks and training sets that are known by name: where they lie and what their columns mean."""

from dataclasses import dataclass

from htpo.errors import UserError
from htpo.tasks.sources.files import READERS, File, is_readable
from htpo.tasks.sources.hub import Hub
from htpo.tasks.sources.source import Named, ReadSource, Source


@dataclass(frozen=True)
class Benchmark:
    """A published dataset. A file of one's own takes its place with `NAME=FILE`."""

    title: str
    hub_id: str
    verifier: str  # "math" or "code"
    split: str = "test"
    config: str | None = None
    data_files: tuple[str, ...] = ()  # of the hub repository, where it can only be read file by file
    prompt_columns: tuple[str, ...] = ("problem", "question")  # the first that is there; so are the others below
    answer_columns: tuple[str, ...] = ("answer",)


BENCHMARKS = {
    "dapo-math-17k": Benchmark(
        "DAPO-Math-17k, the paper's training set, without its duplicates",
        "open-r1/DAPO-Math-17k-Processed",
        "math",
        split="train",
        config="all",
        prompt_columns=("prompt", "problem"),
        answer_columns=("solution", "answer"),
    ),
    "aime24": Benchmark("AIME 2024, I and II: 30 problems", "HuggingFaceH4/aime_2024", "math", split="train"),
    "aime25": Benchmark("AIME 2025, I and II: 30 problems", "math-ai/aime25", "math"),
    "amc23": Benchmark("AMC 12 2023: 40 problems", "math-ai/amc23", "math"),
    "minerva": Benchmark("Minerva: 272 problems of university science", "math-ai/minervamath", "math"),
    "olympiadbench": Benchmark(
        "OlympiadBench, text only, English, open answers: 675 problems",
        "math-ai/olympiadbench",
        "math",
        prompt_columns=("question", "problem"),
        answer_columns=("final_answer", "answer"),
    ),
    "math500": Benchmark("MATH-500", "HuggingFaceH4/MATH-500", "math"),
    "gsm8k": Benchmark("GSM8K, test: 1319 problems", "openai/gsm8k", "math", config="main"),
    "livecodebench": Benchmark(
        "LiveCodeBench, all releases up to v6",
        "livecodebench/code_generation_lite",
        "code",
        data_files=("test.jsonl", *(f"test{number}.jsonl" for number in range(2, 7))),
        prompt_columns=("question_content", "problem"),
    ),
    "humaneval": Benchmark(
        "HumanEval: 164 functions", "openai/openai_humaneval", "code", prompt_columns=("prompt", "problem")
    ),
    "mbpp": Benchmark(
        "MBPP, sanitized: 427 functions in all splits",
        "google-research-datasets/mbpp",
        "code",
        config="sanitized",
        prompt_columns=("prompt", "text", "problem"),
    ),
}


class Benchmarks(Source):
    """The benchmarks by name: each is found as the dataset of the hub, or the file, that it is read from."""

    words = "a benchmark by name (`htpo data list`; NAME=FILE reads a file in its place)"
    title = "benchmarks"

    @classmethod
    def find(cls, label: str) -> ReadSource | None:
        name, equals, path = label.partition("=")
        known = BENCHMARKS.get(name)
        if known is None:
            if equals:
                raise UserError(f"{label}: {name!r} is no benchmark, there are {', '.join(BENCHMARKS)}")
            return None
        columns = (known.prompt_columns, known.answer_columns, known.verifier)
        if not path:
            return Hub(label, name, known.hub_id, *columns, known.split, known.config, known.data_files)
        if not is_readable(path):
            raise UserError(f"{label}: {path!r} is no {', '.join(READERS)} file")
        return File(label, name, path, *columns)

    @classmethod
    def listed(cls) -> tuple[list[Named], str]:
        named = [(name, known.verifier, known.hub_id, known.title) for name, known in BENCHMARKS.items()]
        return named, "NAME=FILE reads a local file in a benchmark's place."
