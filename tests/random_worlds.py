"""Hypothesis: small random worlds with everything that this version models switched on or off."""

from __future__ import annotations

from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, ExitRule, Need, Policy, QueuePlan
from batchsim.drivers.world import PULL_ERROR, Boot, Outcome
from tests.harness import PlanBuilder, machine

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

TYPES = [
    machine(2, 8, usd=0.1),
    machine(4, 12, usd=0.19),
    machine(8, 40, 2, usd=0.9),
    machine(4, 40, usd=0.25),
]


def slowed(builder: PlanBuilder, world: dict[str, object], k: int) -> dict[str, object]:
    """The same world, in which everything takes `k` times as long."""
    boot = world["boot"]
    return {
        **world,
        "submit_us": [value * k for value in builder.submit_us],
        "runtime_us": [value * k for value in builder.runtime_us],
        "boot": Boot(boot.reaction * k, boot.launch * k, boot.registration * k),
        "outcomes": [
            each._replace(sigterm_after_us=each.sigterm_after_us and each.sigterm_after_us * k)
            for each in world["outcomes"]
        ],
        **{name: [value * k for value in world[name]] for name in ("pull_us", "startup_us")},
        **{name: world[name] * k for name in ("dispatch_us", "container_start_us", "stop_grace_us")},
    }


@st.composite
def environments(draw: st.DrawFn) -> EnvironmentPlan:
    types = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)))
    if draw(st.booleans()):
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


images = st.lists(st.integers(0, 2), max_size=2, unique=True).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[PlanBuilder, dict[str, object], int | None]:
    interval = draw(st.sampled_from([0, 0, 3]))
    policy = Policy(
        scheduling_interval_us=interval,
        scaling_interval_us=draw(st.sampled_from([0, 4, 6])),
        submit_evaluation_us=draw(st.sampled_from([0, 0, 2])),
        idle_scale_in_us=draw(st.integers(0, 8)),
        backfill=draw(st.sampled_from(["none", "greedy"])),
        size_tiebreak=draw(st.sampled_from(["largest_not_exceeding_demand", "smallest_fitting"])),
    )
    places = draw(st.lists(environments(), min_size=1, max_size=3))
    queues = [
        QueuePlan(
            f"q{n}",
            draw(st.integers(1, 2)),
            tuple(draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=3, unique=True))),
        )
        for n in range(draw(st.integers(1, 3)))
    ]
    builder = PlanBuilder(TYPES, places, queues, policy)
    for index, place in enumerate(places):
        if not place.managed:
            for type_index in place.types:
                builder.machines_of(index, type_index, draw(st.integers(1, 2)))
    submits = sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=14)))
    rules = (ExitRule(None, None, "1", retry=True), ExitRule(None, "*", None, retry=False))
    for submit in submits:
        need = Need(draw(st.integers(1, 5)), draw(st.integers(1, 14)), draw(st.sampled_from([0, 0, 0, 1, 2])))
        builder.job(
            submit,
            draw(st.integers(0, 9)),
            need,
            draw(st.integers(0, len(queues) - 1)),
            attempts=draw(st.integers(1, 3)),
            rules=draw(st.sampled_from([(), rules])),
            timeout_us=draw(st.sampled_from([0, 0, 0, 4])),
        )
    jobs = len(builder.submit_us)
    classes = len(builder.classes)
    world: dict[str, object] = {
        "outcomes": draw(st.lists(outcomes(), min_size=classes, max_size=classes)),
        "images": draw(st.lists(images, min_size=classes, max_size=classes)),
        "pull_us": [draw(st.integers(0, 4))] * classes,
        "dispatch_us": draw(st.sampled_from([0, 0, 1])),
        "container_start_us": draw(st.sampled_from([0, 0, 2])),
        "startup_us": draw(st.one_of(st.just([]), st.lists(st.integers(0, 3), min_size=jobs, max_size=jobs))),
        "stop_grace_us": draw(st.integers(0, 4)),
        "boot": Boot(draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(0, 3))),
    }
    return builder, world, draw(st.sampled_from([None, None, None, 20]))
