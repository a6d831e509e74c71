"""Whether verl's options of rewards and data go together with our verifiers, looked at before anything is loaded."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from htpo.engines.verl.episode_data import HowPlayed, how_played
from htpo.engines.verl.reward import REWARD_MANAGER
from htpo.engines.verl.row_verdicts import NOT_SAID, VERIFIER_OPTIONS, grading_row, run_grading
from htpo.errors import UserError
from htpo.tasks.exported import is_exported
from htpo.tasks.named_verifier import JUDGED_BY, NamedVerifier

MANAGER = f"reward.reward_manager.name={REWARD_MANAGER}"


def check_reward(config: Mapping[str, Any]) -> None:
    """Raise UserError unless our verifiers, where they are asked for, can judge the data.

    Args:
        config: verl's whole configuration, as plain data.
    """
    block = config.get("htpo") or {}
    reward = config.get("reward") or {}
    manager = reward.get("reward_manager") or {}
    files = _local_files(config["data"])
    episodes = {file: [*how_played(file)] for file in files}
    ours = (manager.get("source"), manager.get("name")) == ("register", REWARD_MANAGER)
    _check_episodes(episodes, config["data"], ours)
    if not ours:
        for name in VERIFIER_OPTIONS:
            if block.get(name) is not None:
                raise UserError(f"+htpo.{name} has no effect without {MANAGER}")
        return
    if (reward.get("custom_reward_function") or {}).get("path"):
        raise UserError(f"reward.custom_reward_function.path has no effect with {MANAGER}: leave one of them out")
    if (reward.get("reward_model") or {}).get("enable"):
        raise UserError(f"reward.reward_model.enable=True takes the place of {MANAGER}: leave one of them out")
    _check_files({file: bool(episodes[file]) for file in files}, block)


def _check_episodes(files: Mapping[Path, Sequence[HowPlayed]], data: Mapping[str, Any], ours: bool) -> None:
    """Of files with tasks of an environment, by how they are played."""
    for file, ways in files.items():
        for how in ways:
            if not ours:
                raise UserError(f"{file} holds tasks of {how.environment}, whose episodes are judged by {MANAGER}")
            limit = data["max_response_length"]
            if how.max_turn_tokens > limit:
                raise UserError(
                    f"data.max_response_length={limit}, that of a whole episode, has no room for a turn of "
                    f"{how.max_turn_tokens} tokens, which {file} allows: raise it, or export with a lower "
                    "max_turn_length"
                )


def _check_files(files: Mapping[Path, bool], block: Mapping[str, Any]) -> None:
    """Of local files; others are judged as they come.

    Args:
        files: with whether their rows are episodes.
    """
    grading, verifier = run_grading(block), NamedVerifier()
    others = []
    try:
        for file, played in files.items():
            if played:
                continue
            if is_exported(file):
                for name in _named_verifiers(file):
                    verifier.by_name(name)
                continue
            others.append(file)
            if grading is None:
                raise UserError(f"{file}: {NOT_SAID}")
            for row in _first_row(file):
                try:
                    grading_row(grading, row)
                except UserError as error:
                    raise UserError(f"{file}: {error}") from None
    finally:
        verifier.close()
    if grading is not None and files and not others:
        raise UserError("+htpo.verifier has no effect: all rows of the data say how they are judged")


def _named_verifiers(file: Path) -> list[str]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        column = opened.read(columns=[f"extra_info.{JUDGED_BY}"])["extra_info"]
    return [name for name in dict.fromkeys(row[JUDGED_BY] for row in column.to_pylist()) if name is not None]


def _first_row(file: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    if file.suffix.lower() != ".parquet":
        return
    with parquet.ParquetFile(file) as opened:
        for part in opened.iter_batches(batch_size=1):
            yield part.to_pylist()[0]
            return


def _local_files(data: Mapping[str, Any]) -> list[Path]:
    given = [data.get(name) for name in ("train_files", "val_files")]
    listed = [file for value in given for file in ([value] if isinstance(value, str) else value or [])]
    return [path for path in (Path(file).expanduser() for file in listed) if path.is_file()]
