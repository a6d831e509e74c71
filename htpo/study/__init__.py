"""Studies: the same recipe over methods x tasks x seeds, and the statistics between them.

What makes methods comparable is the seed. `htpo train` derives from it, and from nothing that a method sets, the
problems that are generated or held out, the order in which prompts are drawn (TRL's sampler, shuffled by seed and
epoch), fresh prompts of dynamic sampling (by seed, update and round) and the random numbers of the measurement; the
initial policy is the recipe's for all. So the measurement before training is the same number for number, and runs part
from the first update on. The budget is equal in updates and in prompts x samples per generation; options that would
change it, the problems or the policy are refused under `methods`. Dynamic sampling, which belongs to some methods,
draws more prompts to fill a generation: the report says how many.
"""

from htpo.study.definition import Run, Start, Study, check_parallel, read_study
from htpo.study.directory import StudyDirectory
from htpo.study.report import read_results, write_results
from htpo.study.scheduler import Failure, as_flags, train_all
from htpo.study.tables import plain_words

__all__ = [
    "Failure",
    "Run",
    "Start",
    "Study",
    "StudyDirectory",
    "as_flags",
    "check_parallel",
    "plain_words",
    "read_results",
    "read_study",
    "train_all",
    "write_results",
]
