"""Studies: many training runs that differ in a few settings.

`run_study("study.yaml", Path("runs/study"))` trains what is not finished yet and returns all
results; docs/tutorials/sweep.md says what a study file may say.
"""

from hwloop.experiments.sweep.catalogue import Row
from hwloop.experiments.sweep.dask import dask_cluster
from hwloop.experiments.sweep.driver import Choice, State, Watcher, rehearse, run_study
from hwloop.experiments.sweep.groups import Group, Mean
from hwloop.experiments.sweep.loading import load_study, parse_study, shipped
from hwloop.experiments.sweep.local import local_workers
from hwloop.experiments.sweep.points import Point, points_of
from hwloop.experiments.sweep.results import StudyResult
from hwloop.experiments.sweep.study import Draw, Plot, Random, Study

__all__ = [
    "Choice",
    "Draw",
    "Group",
    "Mean",
    "Plot",
    "Point",
    "Random",
    "Row",
    "State",
    "Study",
    "StudyResult",
    "Watcher",
    "dask_cluster",
    "load_study",
    "local_workers",
    "parse_study",
    "points_of",
    "rehearse",
    "run_study",
    "shipped",
]
