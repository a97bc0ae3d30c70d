"""Hypothesis: small random worlds with everything that this version models switched on or off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from batchsim.core.consumables import ConsumablePlan
from batchsim.core.grid import NEVER
from batchsim.core.plan import (
    NO_NEED,
    EnvironmentPlan,
    EnvironmentUpdate,
    ExitRule,
    Need,
    Policy,
    QueuePlan,
    QueueUpdate,
    Quota,
    TimeLimit,
)
from batchsim.core.shares import FairSharePolicy
from batchsim.drivers.ec2 import Capacity, Shortage
from batchsim.drivers.world import PULL_ERROR, Bandwidth, Boot, Outcome, PlanUpdate, ResourceUpdate
from batchsim.scenario import Uniform
from batchsim.workload import JobsEvent, Ragged
from batchsim.workload.steps import Steps
from tests.harness import PlanBuilder, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batchsim.drivers.world import Machines

TIMES = (
    "runnable_us",
    "placed_us",
    "starting_us",
    "started_us",
    "ended_us",
    "i_requested_us",
    "i_running_us",
    "i_ready_us",
    "i_ended_us",
)

SHARES = ("a", "ab", "b")
TYPES = [
    machine(2, 8, usd=0.1),
    replace(machine(4, 12, usd=0.19), kind=1),
    machine(8, 40, 2, usd=0.9),
    machine(4, 40, usd=0.25),
]

EVEN_SPEEDS = ({0: 500_000, 2: 250_000},)  # at which a running time is a whole number still
UNEVEN_SPEEDS = ({0: 3_000_000, 2: 700_000}, {1: 1_500_000})


def at_other_times(machines: Iterable[Machines], moved: Callable[[int], int]) -> list[Machines]:
    """With what is after the beginning of a run moved, and before its end."""

    def when(time_us: int) -> int:
        return time_us if time_us in {0, NEVER} else moved(time_us)

    return [replace(each, joins_us=when(each.joins_us), leaves_us=when(each.leaves_us)) for each in machines]


def slowed(builder: PlanBuilder, world: dict[str, object], k: int) -> dict[str, object]:
    """The same world, in which everything takes `k` times as long."""
    boot = world["boot"]
    return {
        **world,
        "submit_us": [value * k for value in builder.submit_us],
        "runtime_us": [value * k for value in builder.runtime_us],
        "machines": at_other_times(builder.machines, lambda time_us: time_us * k),
        "boot": Boot(boot.reaction * k, boot.launch * k, boot.registration * k),
        "outcomes": [
            each._replace(sigterm_after_us=each.sigterm_after_us and each.sigterm_after_us * k)
            for each in world["outcomes"]
        ],
        **{name: [value * k for value in world[name]] for name in ("pull_us", "startup_us")},
        **{name: world[name] * k for name in ("dispatch_us", "container_start_us", "stop_grace_us")},
    }


def _shared(draw: st.DrawFn) -> EnvironmentPlan:
    """ECS Managed Instances, On-Demand or with the pools of the Spot market."""
    types = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)))
    spot = draw(st.booleans())
    bands = tuple(draw(st.integers(-2, 0)) for _ in types) if spot else ()
    return EnvironmentPlan(
        "mi",
        types,
        managed=True,
        enabled=draw(st.sampled_from([True, True, True, False])),
        max_vcpus=draw(st.integers(0, 12)),
        strategy="SPOT_PRICE_CAPACITY_OPTIMIZED" if spot else "BEST_FIT_PROGRESSIVE",
        bands=bands,
        shared=True,
        idle_us=draw(st.sampled_from([-1, 0, 3, NEVER])),
    )


@st.composite
def environments(
    draw: st.DrawFn, *, gangs: bool = False, shared: bool = False, watched: bool = False
) -> EnvironmentPlan:
    """With `gangs` most take jobs of several nodes; with `shared` some are ECS Managed Instances,
    and with `watched` some become INVALID."""
    if shared and draw(st.booleans()):
        return _shared(draw)
    types = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)))
    if draw(st.sampled_from([False, False, False, True] if gangs else [False, True])):
        return EnvironmentPlan("own", types)
    low = draw(st.sampled_from([0, 0, 2, 5]))
    high = draw(st.integers(low, 24))
    return EnvironmentPlan(
        "ce",
        types,
        managed=True,
        enabled=draw(st.sampled_from([True, True, True, False])),
        min_vcpus=low,
        max_vcpus=high,
        desired_vcpus=draw(st.integers(low, high)),
        gangs=gangs and draw(st.sampled_from([True, True, False])),
        aside=draw(st.sampled_from([NO_NEED, NO_NEED, Need(1, 1, 0)])),
        invalid_after_us=draw(st.sampled_from([-1, -1, -1, 1, 7])) if watched else -1,
    )


@st.composite
def updates(
    draw: st.DrawFn, places: Sequence[EnvironmentPlan], queues: Sequence[QueuePlan]
) -> list[EnvironmentUpdate | QueueUpdate]:
    """What users may say of environments and queues; each stands for itself, whatever came before."""
    return [
        _environment_update(draw, places) if draw(st.booleans()) else _queue_update(draw, len(places), queues)
        for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3])))
    ]


def _environment_update(draw: st.DrawFn, places: Sequence[EnvironmentPlan]) -> EnvironmentUpdate:
    index = draw(st.integers(0, len(places) - 1))
    place = replace(places[index], enabled=draw(st.sampled_from([True, True, False])))
    if not place.managed:
        return EnvironmentUpdate(index, place)
    if place.per_job or place.shared:
        return EnvironmentUpdate(index, replace(place, max_vcpus=draw(st.integers(0, 9))))
    low = draw(st.sampled_from([0, 0, 2, 5]))
    high = draw(st.integers(low, 24))
    wanted = draw(st.sampled_from([0, 0, high]))
    place = replace(place, min_vcpus=low, max_vcpus=high, desired_vcpus=wanted)
    if draw(st.booleans()):
        return EnvironmentUpdate(index, place)
    types = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)))
    numbers = (0,) * len(types)
    place = replace(place, types=types, strategy="BEST_FIT_PROGRESSIVE", bands=numbers, entries=numbers)
    return EnvironmentUpdate(index, place, replaces=True, timeout_us=draw(st.sampled_from([0, 2, 5, 40])))


def _queue_update(draw: st.DrawFn, places: int, queues: Sequence[QueuePlan]) -> QueueUpdate:
    index = draw(st.integers(0, len(queues) - 1))
    order = draw(st.lists(st.integers(0, places - 1), min_size=1, max_size=3, unique=True))
    after = replace(
        queues[index],
        priority=draw(st.integers(1, 2)),
        environments=tuple(order),
        enabled=draw(st.sampled_from([True, True, False])),
    )
    return QueueUpdate(index, after)


@st.composite
def capacities(draw: st.DrawFn, rows: int, environments: int) -> Capacity:
    """What EC2 has, with all that can lack; each of the first `rows` types is a Spot pool."""
    zones = draw(st.sampled_from([1, 1, 3]))
    pools = [(row, zone) for row in range(rows) for zone in range(zones)]

    def of_some(values: st.SearchStrategy[int]) -> dict[tuple[int, int], Steps]:
        chosen = draw(st.lists(st.sampled_from(pools), max_size=3, unique=True))
        return {pool: Steps([0, 3, 9, 17], draw(st.lists(values, min_size=4, max_size=4))) for pool in chosen}

    chance = draw(st.sampled_from([0.3, 1.0]))
    return Capacity(
        {row: draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])) for row in range(rows)},
        [
            Shortage(
                frozenset(pools[::2]),
                [chance] + [draw(st.sampled_from([0.2, chance]))] * 23,
                draw(st.integers(0, 1)),
            ),
            Shortage(frozenset(pools[::3]), steps=Steps([0, 10], [chance, 0.0])),
        ][: draw(st.integers(0, 2))],
        zones,
        [Quota(frozenset({0, 2}), draw(st.integers(0, 12))), Quota(frozenset({1}), 5, spot=True)]
        if draw(st.booleans())
        else [],
        of_some(st.integers(0, 3)),
        of_some(st.integers(1, 9)),
        {
            row: [(-1, dict.fromkeys(range(rows), 9)), (8, dict.fromkeys(range(rows), 4))]
            for row in range(environments)
        },
        {
            row: [(-1, draw(st.sampled_from(["", "g", "h"]))), (7, draw(st.sampled_from(["", "g"])))]
            for row in range(environments)
            if draw(st.booleans())
        },
        draw(st.sampled_from([0.0, 0.0, 0.4])),
    )


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    pairs = st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["", "because"]))
    return Outcome(
        script=tuple(draw(st.one_of(st.just([]), st.lists(pairs, max_size=3)))),
        failure_rate=draw(st.sampled_from([0.0, 0.5])),
        failure_exit_code=draw(st.sampled_from([1, 2])),
        start_failure_rate=draw(st.sampled_from([0.0, 0.0, 0.5])),
        start_failure_reason=draw(st.sampled_from([PULL_ERROR, "DockerTimeoutError"])),
        sigterm_exit=draw(st.sampled_from([0, 143])),
        sigterm_after_us=draw(st.sampled_from([None, 0, 0, 3])),
    )


_bandwidths = st.builds(
    Bandwidth,
    of_pull=st.just(6),
    networks=st.dictionaries(st.integers(0, 3), st.sampled_from([2, 5, 6, 9, 15]), max_size=4),
    shared=st.booleans(),
    registry=st.sampled_from([0, 0, 5, 11, 20, 100]),
)
_images = st.lists(st.integers(0, 2), max_size=2, unique=True).map(tuple)
_small_needs = st.builds(Need, st.integers(1, 2), st.integers(1, 9), st.sampled_from([0, 0, 0, 1]))
_needs = st.builds(Need, st.integers(1, 5), st.integers(1, 14), st.sampled_from([0, 0, 0, 1, 2]))


def _time_limits(draw: st.DrawFn) -> tuple[TimeLimit, ...]:
    reasons = [
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    ]
    chosen = draw(st.lists(st.sampled_from(reasons), max_size=2, unique=True))
    return tuple(TimeLimit(reason, draw(st.integers(1, 9))) for reason in chosen)


def _fair_share(draw: st.DrawFn) -> FairSharePolicy | None:
    if draw(st.booleans()):
        return None
    return FairSharePolicy(
        share_decay_us=draw(st.integers(1, 20)),
        reservation_percent=draw(st.sampled_from([0, 0, 50])),
        weights=draw(st.sampled_from([(), (("a", 5_000),), (("a*", 20_000), ("b", 1_000))])),
        model=draw(st.sampled_from(["finished", "cdk"])),
        wildcard_split=draw(st.booleans()),
    )


@st.composite
def worlds(draw: st.DrawFn, *, everything: bool = False) -> tuple[PlanBuilder, dict[str, object], int | None]:
    """A builder with jobs, what else its world is told, and a horizon.

    Without `everything`, jobs run on one instance each, in FIFO queues, and nobody waits for another one or
    does anything to them.
    """
    policy = Policy(
        scheduling_interval_us=draw(st.sampled_from([0, 0, 3])),
        scaling_interval_us=draw(st.sampled_from([0, 4, 6])),
        submit_evaluation_us=draw(st.sampled_from([0, 0, 2])),
        idle_scale_in_us=draw(st.integers(0, 8)),
        backfill=draw(st.sampled_from(["none", "greedy"])),
        size_tiebreak=draw(st.sampled_from(["largest_not_exceeding_demand", "smallest_fitting"])),
        start_failures_count=draw(st.booleans()) if everything else True,
    )
    kinds = ["easy", "nodes", "nodes", "shared", "plain", "plain", ""]
    kind = draw(st.sampled_from(kinds)) if everything else ""
    easy, nodes, plain = kind == "easy", kind == "nodes", kind == "plain"
    if easy or plain:  # plain: whatever ends may help a head only by the room that it leaves
        policy = replace(policy, backfill="easy" if easy else "none")
    places = draw(
        st.lists(
            environments(gangs=nodes, shared=kind == "shared", watched=everything), min_size=1, max_size=3
        )
    )
    queues = [
        QueuePlan(
            f"q{n}",
            draw(st.integers(1, 2)),
            tuple(
                draw(
                    st.lists(
                        st.integers(0, len(places) - 1), min_size=1, max_size=1 if plain else 3, unique=True
                    )
                )
            ),
            fair_share=_fair_share(draw) if everything and not (easy or plain) else None,
            time_limits=_time_limits(draw) if everything else (),
        )
        for n in range(draw(st.integers(1, 3)))
    ]
    builder = PlanBuilder(TYPES, places, queues, policy, shares=SHARES if everything else ())
    if everything and not plain:
        builder.updates = draw(updates(places, queues))
    if everything and not (easy or plain) and draw(st.booleans()):
        builder.consumables = [ConsumablePlan("a", 3), ConsumablePlan("b", 9, replenishable=False)]
    for index, place in enumerate(places):
        if not place.managed:
            for type_index in place.types:
                joins = draw(st.sampled_from([0, 0, 1, 6, 15]))
                leaves = joins + draw(st.sampled_from([NEVER, NEVER, 1, 5, 20]))
                builder.machines_of(
                    index, type_index, draw(st.integers(1, 2)), joins=joins, leaves=min(leaves, NEVER)
                )
    for submit in sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=14))):
        _add_job(draw, builder, submit, everything=everything, nodes=nodes)
    horizon = draw(st.sampled_from([None, None, None, 20]))
    if builder.consumables or (nodes and policy.backfill == "greedy"):
        # Instances for a job that waits for a resource, or for some more of them, may come and go for ever.
        horizon = 60
        builder.policy = replace(policy, idle_scale_in_us=max(policy.idle_scale_in_us, 1))
    return builder, _world(draw, builder, everything=everything), horizon


def _add_job(draw: st.DrawFn, builder: PlanBuilder, submit: int, *, everything: bool, nodes: bool) -> None:
    rules = (ExitRule(None, None, "1", retry=True), ExitRule(None, "*", None, retry=False))
    queue = draw(st.integers(0, len(builder.queues) - 1))
    more: dict[str, object] = {
        "attempts": draw(st.integers(1, 3)),
        "rules": draw(st.sampled_from([(), rules])),
        "timeout_us": draw(st.sampled_from([0, 0, 0, 4])),
    }
    if builder.queues[queue].fair_share:
        more |= {"share": draw(st.integers(0, len(SHARES) - 1)), "priority": draw(st.integers(0, 2))}
    if builder.consumables:
        more["asks"] = draw(st.sampled_from([(), (), ((0, 1),), ((0, 2), (1, 3)), ((1, 4),)]))
    if everything:
        more["after"] = draw(st.sampled_from([[], [], list(range(len(builder.submit_us)))[-2:]]))
    runtime = draw(st.integers(0, 9))
    if nodes and draw(st.booleans()):
        wanted = draw(st.lists(_small_needs, min_size=1, max_size=3))
        more["main"] = draw(st.integers(0, len(wanted) - 1))
        more["types"] = draw(st.sampled_from([(), (), (), (1,)]))
        builder.nodes_job(submit, runtime, wanted, queue, **more)
    else:
        if any(place.shared for place in builder.environments):
            more["kind"] = draw(st.sampled_from([0, 0, 1]))
        builder.job(submit, runtime, draw(_needs), queue, **more)


def _world(draw: st.DrawFn, builder: PlanBuilder, *, everything: bool) -> dict[str, object]:
    classes, jobs = len(builder.classes), len(builder.submit_us)
    world: dict[str, object] = {
        "outcomes": draw(st.lists(outcomes(), min_size=classes, max_size=classes)),
        "images": draw(st.lists(_images, min_size=classes, max_size=classes)),
        "pull_us": [draw(st.integers(0, 8))] * classes,
        "dispatch_us": draw(st.sampled_from([0, 0, 1])),
        "container_start_us": draw(st.sampled_from([0, 0, 2])),
        "startup_us": draw(st.one_of(st.just([]), st.lists(st.integers(0, 3), min_size=jobs, max_size=jobs))),
        "speeds": draw(st.sampled_from([{}, {}, *EVEN_SPEEDS, *(UNEVEN_SPEEDS if everything else ())])),
        "stop_grace_us": draw(st.integers(0, 4)),
        "boot": Boot(draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(0, 3))),
    }
    if everything:
        nodes = [len(each.nodes) if each else 0 for each in builder.gang_of_class()]
        watched = [n for n, place in enumerate(builder.environments) if place.invalid_after_us > 0]
        world["never_registers"] = frozenset(watched[draw(st.integers(0, 1)) :])
        world["bandwidth"] = draw(_bandwidths)
        world["pull_spread"] = draw(st.sampled_from([(), [0.5] * classes]))
        world["container_start_us"] = draw(st.sampled_from([0, 2, Uniform.model_construct(low=0, high=5)]))
        world["node_images"] = [tuple(draw(_images) for _ in range(count)) for count in nodes]
        counts = np.array([nodes[index] * draw(st.integers(0, 1)) for index in builder.class_of])
        times = draw(st.lists(st.integers(0, 9), min_size=int(counts.sum()), max_size=int(counts.sum())))
        world["node_us"] = Ragged.of(counts, np.array(times, np.int64))
        asked = any(asks for _, asks, *_ in builder.asked)
        requests = draw(st.lists(_request(jobs, resources=asked), max_size=5))
        requests += [PlanUpdate(draw(st.integers(0, 25)), row) for row in range(len(builder.updates))]
        world["requests"] = sorted(requests, key=lambda request: request.at_us)
    return world


@st.composite
def _request(draw: st.DrawFn, jobs: int, *, resources: bool) -> JobsEvent | ResourceUpdate:
    at_us = draw(st.integers(0, 25))
    if resources and draw(st.booleans()):
        operation = draw(st.sampled_from(["SET", "ADD", "REMOVE"]))
        return ResourceUpdate(at_us, draw(st.integers(0, 1)), operation, draw(st.integers(0, 4)))
    first = draw(st.integers(0, jobs - 1))
    rows = (range(first, draw(st.integers(first, jobs))),)
    return JobsEvent(at_us, draw(st.sampled_from(["cancel", "terminate"])), rows, "because")
