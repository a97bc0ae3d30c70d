"""Hypothesis: small plans with every feature of the scheduler that is switched on, and none of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from batchsim.core.allocation import STRATEGIES
from batchsim.core.consumables import ConsumablePlan
from batchsim.core.dependencies import Graph
from batchsim.core.plan import (
    NO_NEED,
    ClassPlan,
    ExitRule,
    Gang,
    Need,
    Plan,
    Policy,
    QueuePlan,
    Quota,
    TimeLimit,
)
from batchsim.core.shares import FairSharePolicy
from tests.random_worlds import TYPES, environments, updates

if TYPE_CHECKING:
    from batchsim.core.consumables import Asks
    from batchsim.core.plan import EnvironmentPlan

FEATURES = frozenset(
    {
        "consumables",
        "dependencies",
        "easy",
        "fair share",
        "gangs",
        "gpus",
        "greedy",
        "machine per job",
        "requests",
        "rules",
        "scale-down delay",
        "start failures",
        "strategies",
        "time limits",
        "timeouts",
        "updates",
    }
)

RULES: tuple[tuple[ExitRule, ...], ...] = (
    (),
    (ExitRule("Host EC2*", None, None, retry=True), ExitRule(None, "*", None, retry=False)),
    (ExitRule(None, "OutOfMemory*", "137", retry=False), ExitRule(None, None, "1", retry=True)),
)
_SHARES = ("A", "B", "C1", "C2")
_WEIGHTS = ((), (("A", 1_250),), (("C*", 5_000), ("B", 20_000)))


class _Wants(NamedTuple):
    """What one job asks of its instance, and beside it."""

    need: Need
    asks: Asks = ()
    gang: Gang | None = None


@st.composite
def plans(draw: st.DrawFn, features: frozenset[str]) -> Plan:
    """A plan that uses some of the features; up to 8 jobs, 3 queues and 3 environments."""
    assert features <= FEATURES

    def on(feature: str) -> bool:
        return feature in features and draw(st.booleans())

    drawn = draw(st.lists(environments(), min_size=1, max_size=3))
    places = [_place(draw, place, features) if place.managed else place for place in drawn]
    queues = [_queue(draw, name, places, features) for name in draw(st.sampled_from(["q", "pq", "pqr"]))]
    consumables = _consumables(draw) if on("consumables") else ()
    wants = [_wants(draw, len(consumables), features) for _ in range(draw(st.integers(1, 4)))]
    node_need = len(wants)  # an extra need, which is that of each node of a multi-node job
    classes = draw(st.lists(_classes(queues, len(wants), features), min_size=1, max_size=4))
    class_of = draw(st.lists(st.integers(0, len(classes) - 1), min_size=1, max_size=8))
    beyond_easy = consumables or any(each.gang for each in wants)
    policy = _policy(draw, features - {"easy"} if beyond_easy else features)
    return Plan(
        types=TYPES,
        environments=places,
        queues=queues,
        needs=[*(each.need for each in wants), Need(1, 1, 0)],
        classes=classes,
        class_of=class_of,
        policy=policy,
        asks=[*(each.asks for each in wants), ()] if consumables else (),
        gangs=[
            *(each.gang and each.gang._replace(nodes=(node_need,) * len(each.gang.nodes)) for each in wants),
            None,
        ]
        if any(each.gang for each in wants)
        else (),
        consumables=consumables,
        shares=_SHARES if any(queue.fair_share for queue in queues) else (),
        graph=_graph(draw, len(class_of)) if on("dependencies") else Graph(),
        quotas=_quotas(draw) if "machine per job" in features else (),
        estimate_us=draw(st.lists(st.integers(0, 9), min_size=len(class_of), max_size=len(class_of)))
        if policy.backfill == "easy"
        else (),
        updates=draw(updates(places, queues)) if "updates" in features else (),
    )


def _quotas(draw: st.DrawFn) -> list[Quota]:
    """What scripted drivers heed of them are machines for one job each."""
    rows = draw(st.frozensets(st.integers(0, len(TYPES) - 1), max_size=len(TYPES)))
    return [Quota(rows, draw(st.integers(0, 8)))] if rows else []


def _place(draw: st.DrawFn, place: EnvironmentPlan, features: frozenset[str]) -> EnvironmentPlan:
    """A managed environment, with what is not the same in all."""
    if "machine per job" in features and draw(st.integers(0, 4)) == 0:
        return replace(place, per_job=True, min_vcpus=0, desired_vcpus=0, aside=NO_NEED)
    if "strategies" in features:
        numbers = st.lists(st.integers(0, 2), min_size=len(place.types), max_size=len(place.types))
        place = replace(
            place,
            strategy=draw(st.sampled_from(sorted(STRATEGIES))),
            bands=tuple(draw(numbers)),
            entries=tuple(sorted(draw(numbers))),
            overshoots=draw(st.booleans()),
        )
    return replace(
        place,
        gangs="gangs" in features and draw(st.booleans()),
        scale_down_delay_us=draw(st.sampled_from([0, 7])) if "scale-down delay" in features else 0,
    )


def _queue(draw: st.DrawFn, name: str, places: list[EnvironmentPlan], features: frozenset[str]) -> QueuePlan:
    order = draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=3, unique=True))
    fair_share, limits = None, ()
    if "fair share" in features and draw(st.booleans()):
        fair_share = FairSharePolicy(
            share_decay_us=draw(st.sampled_from([0, 5, 20])),
            reservation_percent=draw(st.sampled_from([0, 0, 50])),
            weights=draw(st.sampled_from(_WEIGHTS)),
            model=draw(st.sampled_from(["finished", "cdk"])),
            wildcard_split=draw(st.booleans()),
        )
    if "time limits" in features and draw(st.booleans()):
        reasons = draw(
            st.lists(
                st.sampled_from(
                    [
                        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
                        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
                    ]
                ),
                unique=True,
            )
        )
        limits = tuple(TimeLimit(reason, draw(st.integers(1, 12))) for reason in reasons)
    return QueuePlan(name, draw(st.integers(1, 2)), tuple(order), fair_share=fair_share, time_limits=limits)


def _consumables(draw: st.DrawFn) -> tuple[ConsumablePlan, ...]:
    return tuple(
        ConsumablePlan(f"r{number}", draw(st.integers(0, 4)), replenishable=draw(st.booleans()))
        for number in range(draw(st.integers(1, 2)))
    )


def _wants(draw: st.DrawFn, resources: int, features: frozenset[str]) -> _Wants:
    amounts = (draw(st.integers(1, 5)), draw(st.integers(1, 14)), draw(st.sampled_from([0, 0, 0, 1, 2])))
    asked = draw(st.lists(st.integers(0, resources - 1), unique=True)) if resources else []
    asks = tuple((resource, draw(st.integers(1, 3))) for resource in sorted(asked))
    if "gangs" in features and draw(st.integers(0, 3)) == 0:
        nodes = draw(st.integers(1, 3))
        types = draw(st.sampled_from([(), (0,), (1,), (3,)]))
        return _Wants(Need(1, 1, 0), asks, Gang((0,) * nodes, draw(st.integers(0, nodes - 1)), types))
    return _Wants(Need(*amounts), asks)


@st.composite
def _classes(draw: st.DrawFn, queues: list[QueuePlan], needs: int, features: frozenset[str]) -> ClassPlan:
    queue = draw(st.integers(0, len(queues) - 1))
    fair = queues[queue].fair_share is not None
    return ClassPlan(
        queue,
        draw(st.integers(0, needs - 1)),
        attempts=draw(st.integers(1, 3)),
        rules=draw(st.sampled_from(RULES)) if "rules" in features else (),
        timeout_us=draw(st.sampled_from([0, 0, 4])) if "timeouts" in features else 0,
        share=draw(st.integers(0, len(_SHARES) - 1)) if fair else -1,
        priority=draw(st.integers(0, 2)) if fair else 0,
    )


def _policy(draw: st.DrawFn, features: frozenset[str]) -> Policy:
    return Policy(
        scheduling_interval_us=draw(st.sampled_from([0, 0, 3])),
        scaling_interval_us=draw(st.sampled_from([0, 4, 6])),
        submit_evaluation_us=draw(st.sampled_from([0, 0, 2])),
        idle_scale_in_us=draw(st.integers(0, 8)),
        launch_cooloff_us=draw(st.sampled_from([0, 5])),
        backfill=draw(st.sampled_from(["none", *(each for each in ("easy", "greedy") if each in features)])),
        size_tiebreak=draw(st.sampled_from(["largest_not_exceeding_demand", "smallest_fitting"])),
        start_failures_count="start failures" not in features or draw(st.booleans()),
    )


def _graph(draw: st.DrawFn, jobs: int) -> Graph:
    """Later jobs wait for earlier ones, or for a barrier that stands for several of them."""
    edges: set[tuple[int, int]] = set()
    pairs = [(before, after) for after in range(jobs) for before in range(after)]
    if pairs:
        edges |= set(draw(st.lists(st.sampled_from(pairs), max_size=6)))
    patient: list[bool] = []
    if jobs > 2 and draw(st.booleans()):
        barrier = jobs
        patient.append(draw(st.booleans()))
        first_after = draw(st.integers(1, jobs - 1))
        edges |= {(job, barrier) for job in range(first_after)}
        edges |= {(barrier, job) for job in range(first_after, jobs)}
    nodes = jobs + len(patient)
    ordered = sorted(edges)
    start = [sum(before < node for before, _ in ordered) for node in range(nodes + 1)]
    waits_for = [sum(after == node for _, after in ordered) for node in range(nodes)]
    return Graph(jobs, start, [after for _, after in ordered], waits_for, patient)
