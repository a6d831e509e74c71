"""The run directory: what a run writes, and how it is read back and resumed."""

from htpo.runs.checkpoints import step_of
from htpo.runs.directory import RunDirectory, installed_version
from htpo.runs.disk import check_disk_space, write_atomically, write_json, writing
from htpo.runs.lock import locked
from htpo.runs.objective_table import Group, ObjectiveTable, options_in_words
from htpo.runs.record import RunRecord

__all__ = [
    "Group",
    "ObjectiveTable",
    "RunDirectory",
    "RunRecord",
    "check_disk_space",
    "installed_version",
    "locked",
    "options_in_words",
    "step_of",
    "write_atomically",
    "write_json",
    "writing",
]
