"""Jobs drawn from distributions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from batchsim.errors import at_path
from batchsim.workload.arrivals import draw_arrivals
from batchsim.workload.classes import classes_of_mix
from batchsim.workload.part import Part, Streams
from batchsim.workload.runtimes import draw_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from batchsim.scenario import GeneratedJobs, Scenario
    from batchsim.scenario.jobs import Jobs
    from batchsim.workload.services import ServiceClass
    from batchsim.workload.table import JobClass

_Class = TypeVar("_Class", "JobClass", "ServiceClass")


def draw_part(scenario: Scenario, entry: GeneratedJobs, streams: Streams) -> Part:
    """The jobs of a generated entry; `draw_arrivals`, `classes_of_mix` and `draw_runs` say what it raises.

    One SubmitJob call has one kind and one share, which all children of its array have; each child draws
    its own running time.
    """
    with at_path(f"{scenario.path_of(entry)}.arrivals"):
        submit_us = draw_arrivals(entry, streams("arrivals", entry.name))
    calls = len(submit_us)
    kind = np.zeros(calls, np.int64)
    if entry.mix is not None:
        kind = _chosen((item.weight for item in entry.mix), streams("mix", entry.name), calls)
    classes, job_class = with_shares(classes_of_mix(scenario, entry), kind, entry, streams)
    ordinal = np.arange(calls)
    size = entry.array_size
    if size is not None:
        columns = (submit_us, kind, job_class, ordinal)
        submit_us, kind, job_class, ordinal = (np.repeat(column, size) for column in columns)
    runs = draw_runs(scenario, entry, kind, streams)
    notes: dict[str, Any] = {"source": "generated", "jobs": len(kind)}
    if size is not None:
        notes["arrays"] = calls
    if runs.files:
        notes["runtime_files"] = runs.files
    unknown_us = np.full(len(kind), -1, np.int64)
    return Part(
        classes,
        job_class,
        submit_us,
        runs.runtime_us,
        unknown_us,
        ordinal,
        notes,
        size,
        runs.startup_us,
        runs.node_us,
    )


def with_shares(
    classes: list[_Class], job_class: NDArray[np.int64], entry: Jobs, streams: Streams
) -> tuple[list[_Class], NDArray[np.int64]]:
    """The classes divided by the share identifier that each call draws.

    A class of which no call was drawn is listed with the first share.
    """
    if entry.shareIdentifier is None:
        return classes, job_class
    # Sorted, because a mapping means the same in any order.
    names = sorted(entry.shareIdentifier)
    weights = (entry.shareIdentifier[name] for name in names)
    share = np.zeros(len(job_class), np.int64)
    if len(names) > 1:
        share = _chosen(weights, streams("shares", entry.name), len(job_class))
    pair = job_class * len(names) + share
    unused = np.setdiff1d(np.arange(len(classes)), job_class)
    pairs, inverse = np.unique(np.concatenate([pair, unused * len(names)]), return_inverse=True)
    divided = [
        replace(classes[each // len(names)], share=names[each % len(names)]) for each in pairs.tolist()
    ]
    return divided, inverse[: len(pair)]


def _chosen(weights: Iterable[float], rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """`n` draws of an index with the given weights."""
    bounds = np.cumsum(list(weights))
    return np.searchsorted(bounds / bounds[-1], rng.random(n), side="right")
