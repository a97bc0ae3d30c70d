"""L4 and L5 of multi-node jobs, L19: who has which GPUs of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.capacity import by_instance_and_time
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts, Ints


def nodes(facts: Facts) -> list[Violation]:
    """L5: each node once, within its attempt; L4: alone on its instance, all on one type [spec 1.11]."""
    holds, jobs = facts.holds, facts.jobs
    if holds is facts.attempts and (jobs.nodes == 1).all() and (holds.node < 0).all():
        return []
    of_job = np.append(jobs.nodes, 1)[holds.job]
    same = (holds.job[1:] == holds.job[:-1]) & (holds.number[1:] == holds.number[:-1])
    twice = np.append(False, same & (holds.node[1:] == holds.node[:-1]))
    impossible = np.where(of_job > 1, (holds.node < 0) | (holds.node >= of_job), holds.node >= 0)
    return [
        *rows_where(impossible, "L5", "attempts", "the job has no such node", holds.row),
        *rows_where(twice, "L5", "attempts", "a node of an attempt that has it already", holds.row),
        *rows_where(holds.attempt < 0, "L5", "attempts", "a node without its main node", holds.row),
        *_main_nodes(facts),
        *_with_main(facts),
        *_shared(facts),
    ]


def _main_nodes(facts: Facts) -> list[Violation]:
    attempts = facts.attempts
    same = (attempts.job[1:] == attempts.job[:-1]) & (attempts.number[1:] == attempts.number[:-1])
    twice = np.append(False, same)
    first = np.append(attempts.node, -1)[facts.jobs.first_attempt]
    moved = (attempts.job >= 0) & (np.append(first, -1)[attempts.job] != attempts.node)
    return [
        *rows_where(twice, "L5", "attempts", "a second main node", attempts.row),
        *rows_where(moved, "L5", "attempts", "the main node is not that of the first attempt", attempts.row),
    ]


def _with_main(facts: Facts) -> list[Violation]:
    """Nodes are launched when the main node is RUNNING, and stopped when it ends."""
    holds, attempts = facts.holds, facts.attempts
    child = (holds.attempt >= 0) & ~np.isin(holds.row, attempts.row)
    main = holds.attempt
    started = np.append(attempts.started, -1)[main]
    ended = np.append(attempts.ended, -1)[main]
    early = child & (
        (holds.placed < np.append(attempts.placed, -1)[main])
        | ((holds.starting >= 0) & ((started < 0) | (holds.starting < started)))
    )
    late = child & (ended >= 0) & ((holds.ended < 0) | (holds.ended > ended))
    found = [
        *rows_where(early, "L5", "attempts", "a node that begins before its main node", holds.row),
        *rows_where(late, "L5", "attempts", "a node that outlives its main node", holds.row),
    ]
    for column in ("environment", "instance_type"):
        codes = facts.frames["attempts"][column].cat.codes.to_numpy()
        other = child & (codes[holds.row] != np.append(codes[attempts.row], -1)[main])
        found += rows_where(other, "L4", "attempts", f"{column} is not that of its main node", holds.row)
    return found


def _shared(facts: Facts) -> list[Violation]:
    """A node has its instance alone from its placement until its main node ends."""
    holds = facts.holds
    until = np.append(facts.attempts.until, -1)[holds.attempt]
    until = np.where((holds.node >= 0) & (holds.attempt >= 0), np.maximum(until, holds.until), holds.until)
    held = np.flatnonzero((until > holds.placed) & (holds.placed >= 0) & (holds.instance >= 0))
    if not len(held):
        return []
    order = by_instance_and_time(holds.instance[held], holds.placed[held], until[held])
    hold, begins = held[order % len(held)], order < len(held)
    alone = holds.node[hold] >= 0
    there = np.cumsum(np.where(begins, 1, -1))
    nodes_there = np.cumsum(np.where(begins, 1, -1) * alone)
    guilty = np.zeros(len(holds.row), dtype=np.bool_)
    guilty[hold[begins & (nodes_there > 0) & (there > 1)]] = True
    return rows_where(guilty, "L4", "attempts", "shares an instance with a node", holds.row)


def gpus(facts: Facts) -> list[Violation]:
    """L19: nobody has a GPU of an instance that another has at that time, and each as many as it asks for.

    A result none of whose attempts names its GPUs is of a driver that does not know them.
    """
    holds = facts.holds
    column = facts.frames["attempts"]["gpu_indices"].cat
    told = [_indices(str(text)) for text in column.categories]
    codes = column.codes.to_numpy()[holds.row]
    if (codes < 0).all():
        return []
    unreadable = np.array([indices is None for indices in told] + [False])
    number = np.array([len(indices or ()) for indices in told] + [0], dtype=np.int64)
    largest = np.array([max(indices or (-1,)) for indices in told] + [-1], dtype=np.int64)
    offered = np.append(facts.instances.amounts["gpus"], 0)[holds.instance]
    return [
        *rows_where(unreadable[codes], "L19", "attempts", "gpu_indices are not ascending numbers", holds.row),
        *rows_where(
            ~unreadable[codes] & (number[codes] != holds.amounts["gpus"]),
            "L19",
            "attempts",
            "gpu_indices are not as many as its gpus",
            holds.row,
        ),
        *rows_where(
            (holds.instance >= 0) & (largest[codes] >= offered),
            "L19",
            "attempts",
            "its instance has no such GPU",
            holds.row,
        ),
        *_held_twice(facts, codes, [indices or () for indices in told]),
    ]


def _held_twice(facts: Facts, codes: Ints, told: list[tuple[int, ...]]) -> list[Violation]:
    holds = facts.holds
    held = (codes >= 0) & (holds.until > holds.placed) & (holds.placed >= 0) & (holds.instance >= 0)
    rows, indices = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for code, each in enumerate(told):
        mine = np.flatnonzero(held & (codes == code))
        for number in each:
            rows.append(mine)
            indices.append(np.full(len(mine), number))
    hold, index = np.concatenate(rows), np.concatenate(indices)
    if not len(hold):
        return []
    device = holds.instance[hold] * (int(index.max()) + 1) + index
    order = by_instance_and_time(device, holds.placed[hold], holds.until[hold])
    who, begins = hold[order % len(hold)], order < len(hold)
    guilty = np.zeros(len(holds.row), dtype=np.bool_)
    guilty[who[begins & (np.cumsum(np.where(begins, 1, -1)) > 1)]] = True
    return rows_where(guilty, "L19", "attempts", "has a GPU that another has at that time", holds.row)


def _indices(text: str) -> tuple[int, ...] | None:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts):
        return None
    indices = tuple(map(int, parts))
    return indices if list(indices) == sorted(set(indices)) else None
