"""The scheduler and its driver against exact oracles: every start, to the microsecond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need, Policy, QueuePlan
from tests import reference
from tests.harness import PlanBuilder, machine

ONE = Need(1, 4, 0)


def slots(count: int, per_instance: int = 1) -> PlanBuilder:
    builder = PlanBuilder([machine(per_instance)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0, count // per_instance)
    return builder


@pytest.mark.parametrize("servers", [1, 2, 10, 100])
def test_fifo_on_identical_slots_agrees_with_kiefer_wolfowitz_on_every_start(servers):
    rng = np.random.default_rng(servers)
    jobs = 100_000
    submit = np.cumsum(np.rint(rng.exponential(1e6 / servers / 0.97, jobs)).astype(np.int64)).tolist()
    service = np.rint(rng.exponential(1e6, jobs)).astype(np.int64).tolist()
    builder = slots(servers)
    builder.job(0, 0, ONE)
    builder.class_of = builder.class_of * jobs
    builder.submit_us, builder.runtime_us = submit, service
    record = builder.run()
    assert record.outcome == "finished"
    assert list(record.started_us) == reference.kiefer_wolfowitz(submit, service, servers)


def test_one_server_agrees_with_lindley_with_whole_second_ties():
    rng = np.random.default_rng(7)
    submit = np.sort(rng.integers(0, 90_000, 30_000)) * 1_000_000
    service = rng.integers(0, 5, 30_000) * 1_000_000
    builder = slots(1)
    builder.job(0, 0, ONE)
    builder.class_of = builder.class_of * 30_000
    builder.submit_us, builder.runtime_us = submit.tolist(), service.tolist()
    assert list(builder.run().started_us) == reference.lindley(submit, service).tolist()


@pytest.mark.parametrize(
    ("backfill", "oracle"), [("none", reference.pool_fifo), ("greedy", reference.pool_greedy)]
)
def test_every_small_world_of_one_pool(backfill, oracle):
    worlds = 0
    for jobs, processors in reference.small_worlds():
        builder = PlanBuilder(
            [machine(processors)], [EnvironmentPlan("e", (0,))], policy=Policy(backfill=backfill)
        )
        builder.machines_of(0, 0)
        order = sorted(range(len(jobs)), key=lambda number: jobs[number].submit)
        for number in order:
            builder.job(jobs[number].submit, jobs[number].run, Need(jobs[number].processors, 4, 0))
        expected = oracle([jobs[number] for number in order], processors)
        assert list(builder.run().started_us) == expected, (jobs, processors)
        worlds += 1
    assert worlds == 11_664


def tick_worlds() -> st.SearchStrategy[tuple]:
    queues = st.lists(
        st.builds(
            reference.TickQueue,
            st.integers(1, 2),
            st.sampled_from([(0,), (1,), (0, 1), (1, 0)]),
        ),
        min_size=1,
        max_size=3,
    )
    instances = st.lists(
        st.builds(
            reference.TickInstance, st.integers(1, 4), st.integers(0, 5), st.integers(0, 2), st.integers(0, 1)
        ),
        min_size=1,
        max_size=5,
    )
    jobs = st.lists(
        st.builds(
            reference.TickJob,
            st.integers(0, 6),
            st.integers(0, 5),
            st.integers(1, 4),
            st.integers(0, 5),
            st.sampled_from([0, 0, 0, 1, 2]),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=9,
    )
    return st.tuples(jobs, instances, queues, st.booleans())


@given(tick_worlds())
def test_random_small_worlds_agree_with_the_tick_model(world):
    jobs, instances, queues, backfill = world
    jobs = sorted((job._replace(queue=job.queue % len(queues)) for job in jobs), key=lambda job: job.submit)
    expected = reference.tick_model(jobs, instances, queues, backfill=backfill)
    types = [machine(each.vcpus, each.memory, each.gpus) for each in instances]
    members = [tuple(n for n, each in enumerate(instances) if each.environment == e) for e in (0, 1)]
    builder = PlanBuilder(
        types,
        [EnvironmentPlan(f"e{e}", members[e]) for e in (0, 1)],
        [QueuePlan(f"q{n}", queue.priority, queue.environments) for n, queue in enumerate(queues)],
        Policy(backfill="greedy" if backfill else "none"),
    )
    for number, each in enumerate(instances):
        builder.machines_of(each.environment, number)
    for job in jobs:
        builder.job(job.submit, job.duration, Need(job.vcpus, job.memory, job.gpus), job.queue)
    record = builder.run()
    assert [
        reference.Placement(start, instance) if start >= 0 else reference.NOWHERE
        for start, instance in zip(record.started_us, record.instance, strict=True)
    ] == expected


REAL_LOGS = [
    ("KTH-SP2-1996-2.1-cln.swf.gz", 100, "none", 28_467, 11_104_748_586),
    ("KTH-SP2-1996-2.1-cln.swf.gz", 100, "greedy", 28_467, 164_076_009),
    ("LCG-2005-1.swf.gz", 3000, "none", 187_520, 8_391_949),
    ("lublin-256.swf.gz", 256, "none", 10_000, 23_884_437_601),
    ("NASA-iPSC-1993-3.1-cln.swf.gz", 128, "greedy", 18_066, 73_468),
]


@pytest.mark.parametrize("case", REAL_LOGS, ids=lambda case: f"{case[0][:5]}-{case[2]}")
def test_real_logs_wait_as_published(traces, case):
    log, processors, backfill, jobs, total_wait_s = case
    rows = reference.read_swf(traces / "swf" / log)
    builder = PlanBuilder(
        [machine(processors)], [EnvironmentPlan("e", (0,))], policy=Policy(backfill=backfill)
    )
    builder.machines_of(0, 0)
    for row in rows:
        builder.job(row.submit, row.run, Need(row.processors, 4, 0))
    record = builder.run()
    assert len(rows) == jobs
    assert sum(record.started_us) - sum(builder.submit_us) == total_wait_s


def test_any_split_of_2000_single_vcpu_slots_gives_the_same_waits(traces):
    rows = reference.read_swf(traces / "swf" / "LCG-2005-1.swf.gz")
    for per_instance in (2000, 16):
        builder = slots(2000, per_instance)
        for row in rows:
            builder.job(row.submit, row.run, ONE)
        assert sum(builder.run().started_us) - sum(builder.submit_us) == 1_161_982_426
