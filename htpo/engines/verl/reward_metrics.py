"""How often judging failed, over what verl keeps of each response (`reward.said`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from htpo.engines.verl.group_facts import session_of
from htpo.verifiers.verdict import FAILURES, UNSCORED


def failure_shares(records: Sequence[Mapping[str, Any]], unscored: int = 0) -> dict[str, float]:
    """`verifier/KIND_share` by kind of failure; nothing where the records are not of our verifiers.

    Args:
        records: of responses that have a verdict.
        unscored: responses of which there is no record, because they got none.
    """
    kinds = [record["failure"] for record in records if "failure" in record]
    if len(kinds) < len(records) or not records:
        return {}
    kinds += [UNSCORED] * unscored
    return {f"verifier/{kind}_share": kinds.count(kind) / len(kinds) for kind in FAILURES}


def batch_failure_shares(
    keys: Sequence[str], extra_fields: Sequence[Mapping[str, Any]], padding: Sequence[bool], samples: int
) -> dict[str, float]:
    """`failure_shares` over the sessions of a batch.

    Args:
        keys: verl's names of the rows, "{uid}_{session}_{index}".
        extra_fields: of each row, with what the reward manager said.
        padding: rows that verl added.
        samples: sessions per prompt. Those of a prompt in the batch that are missing got no verdict, or failed.
    """
    records = {
        session_of(key)[:2]: fields.get("reward_extra_info") or {}
        for key, fields, added in zip(keys, extra_fields, padding, strict=True)
        if not added
    }
    expected = samples * len({uid for uid, _ in records})
    return failure_shares(list(records.values()), max(0, expected - len(records)))
