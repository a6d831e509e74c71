"""Tasks of an environment in verl's layout: every row says by which agent loop it is answered, and how it is played."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pyarrow import parquet

from htpo.engines.environment_task import EnvironmentTask, episode_verifier
from htpo.engines.episode_options import TaskOptions
from htpo.environments import EnvironmentLabel
from htpo.errors import UserError
from htpo.playing.tasks import TASK, environment_options
from htpo.playing.verdicts import EpisodeVerifier
from htpo.tasks.prompts import as_chat
from htpo.tasks.verl_layout import LAYOUT, new_folder, parts_of

AGENT = "htpo_episode"
"""Name among verl's agent loops."""
PLAYED_BY, PLAYED_TASK = "played_by", "played_task"
"""Within `extra_info`: a `HowPlayed`, and a task as the environment takes it, as JSON both."""

_PLAYED = pa.struct([*((name, pa.string()) for name in ("split", PLAYED_BY, PLAYED_TASK)), ("index", pa.int64())])
EPISODE_LAYOUT = pa.schema(
    [field for field in LAYOUT if field.name != "extra_info"] + [("extra_info", _PLAYED), ("agent_name", pa.string())]
)


@dataclass(frozen=True)
class HowPlayed:
    """What an agent loop must know of an environment to play an episode of a task.

    Attributes:
        environment: a name of `ENVIRONMENTS`, or `package.module:Class`.
        options: of the environment.
        max_steps: after how many actions an episode ends; None: the environment's own.
        seed: of the environment, for all episodes, so that those of a group begin alike.
        prompt_format: a name of `PROMPT_FORMATS`.
        max_turn_tokens: of a turn of the policy.
        verifier: what an episode is worth.
    """

    environment: str
    options: dict[str, Any]
    max_steps: int | None
    seed: int
    prompt_format: str
    max_turn_tokens: int
    verifier: EpisodeVerifier

    @classmethod
    def of(cls, options: TaskOptions, seed: int, prompt_format: str) -> Self:
        """As the options say it. Raises `UserError` where old turns are to leave."""
        if options.history_length is not None:
            raise UserError(
                f"history_length={options.history_length}: with verl an episode is one row, whose turns are sampled "
                "after all before them; leave it out, or train with --engine trl"
            )
        return cls(
            environment=EnvironmentLabel.parse(options.dataset[0]).name,
            options=environment_options(options.dataset_config),
            max_steps=options.max_turns,
            seed=seed,
            prompt_format=prompt_format,
            max_turn_tokens=options.max_turn_length,
            verifier=episode_verifier(options),
        )

    def to_json(self) -> str:
        """As a row has it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        given = json.loads(text)
        return cls(**{**given, "verifier": EpisodeVerifier(**given["verifier"])})


def export_episodes(task: EnvironmentTask, played: HowPlayed, folder: Path, *, force: bool = False) -> None:
    """Write tasks into a new folder, as `export_task` does of answers.

    Raises:
        UserError: see `new_folder`.
    """
    with new_folder(folder, force=force) as unfinished:
        for name, split, rows in parts_of(task):
            records = [_record(row, split, played) for row in rows]
            parquet.write_table(pa.Table.from_pylist(records, EPISODE_LAYOUT), unfinished / name)


def _record(row: Mapping[str, Any], split: str, played: HowPlayed) -> dict[str, Any]:
    return {
        "data_source": played.environment,
        "prompt": as_chat(row["prompt"]),  # what the policy reads is the environment's to say
        "ability": "agent",
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {
            "index": row["row"] - 1,
            "split": split,
            PLAYED_BY: played.to_json(),
            PLAYED_TASK: row[TASK],
        },
        "agent_name": AGENT,
    }


def how_played(path: Path) -> Iterator[HowPlayed]:
    """How the episodes of a Parquet file are played, each way once; nothing of one that has other rows."""
    if path.suffix.lower() != ".parquet":
        return
    with parquet.ParquetFile(path) as opened:
        schema = opened.schema_arrow
        kind = schema.field("extra_info").type if "extra_info" in schema.names else None
        if not isinstance(kind, pa.StructType) or PLAYED_BY not in [field.name for field in kind]:
            return
        column = opened.read(columns=[f"extra_info.{PLAYED_BY}"])["extra_info"]
    for said in dict.fromkeys(row[PLAYED_BY] for row in column.to_pylist()):
        yield HowPlayed.from_json(said)
