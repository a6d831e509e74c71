"""The `htpo` command. Heavy imports wait until a command runs, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from htpo.cli.built_in import STUDIES, TrainCommand, built_in
from htpo.errors import Interrupted, UserError

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Reinforcement learning with verifiable rewards, with control over what every token learns.",
)


@app.callback()
def _root() -> None:
    """Keeps `htpo train` a subcommand while it is the only one."""


@app.command(
    cls=TrainCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[RECIPE] [--option value ...]",
    epilog="Every option of TRL's GRPOConfig and ModelConfig works too; `htpo train --options` lists them all. With "
    "verl: `htpo train --engine verl --options`.",
)
def train(
    context: typer.Context,
    options: Annotated[bool, typer.Option("--options", help="List every option and exit.")] = False,
) -> None:
    """Train a policy; without arguments on built-in puzzles.

    Without arguments: HTPO on number paths, two minutes on a laptop.

    RECIPE is a YAML file of options or the name of a built-in one: quickstart
    is the default, own_data the default with a --dataset of your own. Flags
    override what it says: [bold]htpo train my.yaml --learning_rate 1e-6[/].

    Built in: {recipes}

    [bold]What to train[/]
      --model_name_or_path  Hugging Face id or folder
      --dataset             .jsonl, .json or .parquet file, Hugging Face id,
                            benchmark or puzzles by name ([bold]htpo data list[/]),
                            reasoning_gym:NAME; several of them are mixed
      --prompt_column, --answer_column
      --verifier            math, code, a function of yours, ...
                            ([bold]htpo data list[/])

    [bold]How[/]
      --objective           {objectives};
                            the first is the default
      --variant release, --clip_high 0.3, ...   options of the objective
      --prompts_per_generation, --num_generations, --updates_per_generation
      --learning_rate, --max_steps, --max_completion_length

    [bold]Where[/]
      --output_dir          run directory (default: runs/<recipe>-<time>); it
                            ends up with report.html, to be opened
      --resume              go on from its last complete checkpoint

    [bold]By what[/]
      --engine              trl, the default, or verl: on Ray, for many GPUs;
                            --print_command shows its command instead

    Several processes: [bold]torchrun --standalone --nproc_per_node 2 -m htpo train[/]
    """
    from htpo.cli.train import list_options, train_from_arguments

    if options:
        list_options(context.args)
    else:
        train_from_arguments(context.args)


@app.command(epilog="A study stopped half-way goes on when the command is given again.")
def study(
    file: Annotated[str, typer.Argument(help=f"A .yaml file, or a built-in study: {', '.join(built_in(STUDIES))}.")],
    output_dir: Annotated[str | None, typer.Option("--output_dir", help="Default: runs/study-NAME.")] = None,
    parallel: Annotated[int | None, typer.Option("--parallel", help="Runs at once; default: one per core.")] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Redo tables and figures; train nothing.")] = False,
) -> None:
    """Compare methods over tasks and seeds, with paired tests.

    Trains methods x tasks x seeds from one recipe and reports differences with
    intervals and p-values, as tables, figures and a page.

    FILE names `methods` and `tasks` (each `name: {option: value}`, the options of
    `htpo train`) and `seeds`, and may name a `recipe`, `options` of all runs, the
    `reference` method and how many runs go in `parallel`.
    """
    from htpo.cli.study import run_study

    raise typer.Exit(run_study(file, output_dir, parallel, report_only))


@app.command()
def analyze(
    inputs: Annotated[list[Path], typer.Argument(metavar="RUN_OR_SAMPLES")],
    model: Annotated[str | None, typer.Option("--model", help="Scores texts: Hugging Face id or folder.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the distribution --model scores with.")] = 1.0,
    logic_words: Annotated[
        Path | None,
        typer.Option("--logic_words", help="YAML file of categories, each a list of words: added to ours."),
    ] = None,
    min_count: Annotated[int, typer.Option("--min_count", help="Rarer tokens are not ranked by mean entropy.")] = 10,
    output_dir: Annotated[
        Path | None, typer.Option("--output_dir", help="Default: RUN/analysis, or FILE-analysis beside the file.")
    ] = None,
) -> None:
    """Show what tokens do, and the method's findings as numbers.

    [bold]htpo analyze RUN[/]            a run of `htpo train`, from its kept rollouts
    [bold]htpo analyze RUN RUN ...[/]    several runs on one axis
    [bold]htpo analyze STUDY[/]          a study, seeds together; one group alone from
                               its methods with `only: GROUP`
    [bold]htpo analyze EVAL ...[/]       evaluations: pass@k of all on one axis
    [bold]htpo analyze EVAL --model M[/] the tokens of its samples, too, scored by M
    [bold]htpo analyze my.jsonl --model M[/]
                               any texts (.jsonl, .parquet: prompt, response,
                               and perhaps correct and group_accuracy)

    [bold]What comes out[/]
      training dynamics, entropy by group, pass@k against k, where the gradient
      comes from; words of highest and lowest entropy, logic words by entropy,
      entropy of wrong and correct responses; responses.html: every token with
      its entropy, group and weight; findings.md and findings.json

    Every figure is written as .png and .svg, with its data as .csv; what cannot
    be computed is left out with a reason.
    """
    from htpo.cli.analyze import run_analysis

    run_analysis(inputs, model, temperature, logic_words, min_count, output_dir)


@app.command(
    "eval",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="MODEL --tasks TASK,TASK ... [--option value ...]",
    epilog="An evaluation stopped half-way: `htpo eval --resume --output_dir DIR` loses and repeats nothing.",
)
def evaluate(
    context: typer.Context,
    options: Annotated[bool, typer.Option("--options", help="List every option and exit.")] = False,
) -> None:
    """Measure a model by avg@n, pass@k, maj@k and G-Pass@k with intervals.

    [bold]htpo eval MODEL --tasks aime24,aime25,amc23 --samples 32[/]

    MODEL is a Hugging Face id, a folder, or a name on a server.

    [bold]What[/]
      --tasks        what [bold]htpo train --dataset[/] takes: benchmarks by name,
                     aime24=my_copy.jsonl, puzzles, mine.jsonl with --verifier;
                     all problems are asked (or the first --problems N);
                     environments are played: household, alfworld:valid_seen,
                     webshop, yours; --prompt_format, --max_turn_length,
                     --history_length
      --samples 32 --temperature 1.0 --top_p 0.7 --max_tokens 20480 --seed 0

    [bold]By what[/]
      (default)      transformers, here; --batch_size, --dtype
      --backend vllm where it is installed; --tensor_parallel_size,
                     --max_model_len, --gpu_memory_utilization, --vllm_options
      --base_url http://localhost:8000/v1
                     any server with OpenAI's interface: vLLM, SGLang,
                     llama.cpp, Ollama; --concurrency, --api_key_env NAME,
                     --chat false for base models

    [bold]Of what is stored[/]
      --rescore DIR  judge its samples with another --verifier,
                     --answer_format, ...; generates nothing
      --compare A B  paired differences B - A with p-values

    Every sample is stored with its verdict, as Parquet, in --output_dir (default:
    runs/eval-MODEL-TIME).
    """
    if options:
        from htpo.cli.evaluate.options import list_options

        list_options()
    else:
        from htpo.cli.evaluate.command import evaluate_from_arguments

        raise typer.Exit(evaluate_from_arguments(context.args))


@app.command()
def report(
    inputs: Annotated[list[Path], typer.Argument(metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The page's file. Default: report.html in the run or study.")
    ] = None,
) -> None:
    """Make one HTML page of a run, of several, of a study or an evaluation.

    [bold]htpo report RUN[/]        a run of `htpo train`, which ends by writing it
    [bold]htpo report RUN RUN --output page.html[/]
                          several runs side by side, with paired differences
    [bold]htpo report STUDY[/]      a study of `htpo study`, which ends by writing it
    [bold]htpo report EVAL[/]       an evaluation of `htpo eval`: measures and samples

    [bold]What is on it[/]
      results with intervals, warnings that a colleague would raise, what was
      run in plain words, the objective in force, figures to enlarge, rollouts
      token by token with filters, settings and versions

    The page is a single file, needs no network, and shows what the model wrote as
    text only.
    """
    from htpo.cli.report import run_report

    run_report(inputs, output)


data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Look at data before training on it.",
)
app.add_typer(data, name="data")
FREE = {"allow_extra_args": True, "ignore_unknown_options": True}


@data.command("list")
def list_data() -> None:
    """List everything that `--dataset` knows by name."""
    from htpo.cli.data import list_sources

    list_sources()


@data.command(context_settings=FREE, options_metavar="SOURCE [--option value ...]")
def show(context: typer.Context) -> None:
    """Print rows as the model and the verifier see them.

    Also how a right and a wrong answer are judged.

    SOURCE is what `htpo train --dataset` takes; all its data options work here.

      --rows 2
      --model_name_or_path MODEL   prompts through its chat template
      --verifier                   what judges: [bold]htpo data list[/]
      --prompt_column, --answer_column, ...

    [bold]htpo data show aime24=aime2024.jsonl[/]      a benchmark from a local file
    [bold]htpo data show reasoning_gym:countdown[/]
    """
    from htpo.cli.data import show as show_rows

    show_rows(context.args)


@data.command(context_settings=FREE, options_metavar="SOURCE ... [--against BENCHMARK ...] [--option value ...]")
def check(context: typer.Context) -> None:
    """Find rows that cannot be used, repeat, or are in a benchmark.

    The exit code is 1 where there are any.

    [bold]htpo data check mine.jsonl --verifier math --against aime24 math500[/]
    """
    from htpo.cli.data import check as check_data

    raise typer.Exit(check_data(context.args))


@data.command(context_settings=FREE, options_metavar="SOURCE ... --output FOLDER [--option value ...]")
def export(context: typer.Context) -> None:
    """Write data, and what judges it, for another trainer (verl).

    SOURCE is what `htpo train --dataset` takes, several are mixed; all its data
    options work here, and bad rows are refused just so.

    [bold]htpo data export gsm8k --output data/gsm8k[/]
    [bold]htpo data export mine.jsonl countdown --verifier math --output data/mix[/]

      --format verl          train.parquet and test.parquet (held-out problems) in
                             verl's layout; every row says how it is judged
      --verifier, --answer_format, --prompt_template, --held_out_prompts, ...
      --seed 0               of puzzles, of what is held out, of mixtures
      --force                replace a folder that exists

    It ends with the options of verl that use the data and our verifiers.
    """
    from htpo.cli.data_export import export as export_data

    export_data(context.args)


def main() -> None:
    """Entry point: what stops a command is one line on stderr.

    The exit code is 2 for a `UserError`, a signal's own after it, and for any other error, with a file, 1.
    """
    try:
        app()
    except UserError as error:
        print(f"htpo: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stopped:
        print(f"htpo: {stopped}", file=sys.stderr)
        sys.exit(stopped.code)
    except Exception as error:
        from htpo.cli.unexpected import explain

        print(f"htpo: {explain(error)}", file=sys.stderr)
        sys.exit(1)
