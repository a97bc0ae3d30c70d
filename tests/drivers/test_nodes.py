"""Multi-node jobs in a simulated world [spec 1.11]."""

from __future__ import annotations

import numpy as np

from batchsim.core.plan import Need
from batchsim.core.states import FAILED, RUNNING, SUCCEEDED
from batchsim.drivers.world import Boot, Outcome
from batchsim.workload import JobsEvent, Ragged
from tests.harness import PlanBuilder, machine, managed

NODE = Need(2, 8, 0)


def gang(nodes: int = 3, runtime: int = 100, main: int = 0, **more: object) -> PlanBuilder:
    """A job of several nodes, for which instances of 4 vCPUs are launched and kept."""
    builder = PlanBuilder([machine(4)], [managed([0], 4 * nodes, 4 * nodes, gangs=True)])
    builder.nodes_job(0, runtime, [NODE] * nodes, main=main, **more)
    return builder


def times(*rows: tuple[int, ...]) -> Ragged:
    """Running times of the nodes of each job."""
    return Ragged.of(np.array([len(row) for row in rows]), np.array([us for row in rows for us in row]))


def children(record) -> list[tuple[int, ...]]:
    columns = (
        record.n_job,
        record.n_attempt,
        record.n_node,
        record.n_instance,
        record.n_placed_us,
        record.n_starting_us,
        record.n_started_us,
        record.n_ended_us,
        record.n_exit_code,
    )
    return list(zip(*columns, strict=True))


def test_children_are_launched_when_the_main_node_runs_and_stopped_when_it_exits():
    record = gang(main=1).run(
        boot=Boot(10, 20, 30),
        images=[(0,)],
        node_images=[((1,), (0,), ())],
        pull_us=[5],
        dispatch_us=1,
        container_start_us=2,
    )
    assert (record.placed_us[0], record.starting_us[0], record.started_us[0]) == (60, 61, 68)
    assert (record.instance[0], record.ended_us[0], record.state[0]) == (1, 168, SUCCEEDED)
    assert children(record) == [
        (0, 1, 0, 0, 68, 69, 76, 168, 143),
        (0, 1, 2, 2, 68, 69, 71, 168, 143),
    ]


def test_a_child_that_ends_before_changes_nothing():
    builder = gang()
    builder.job(0, 1, NODE)
    record = builder.run(node_us=times((100, 30, 200), ()), container_start_us=2)
    assert [row[6:] for row in children(record)] == [(4, 34, 0), (4, 102, 143)]
    assert (record.ended_us[0], record.exit_code[0]) == (102, 0)
    assert record.started_us[1] == 104  # the child's instance was not free before


def test_children_that_ignore_sigterm_are_killed_and_those_that_never_ran_have_no_exit_code():
    record = gang(runtime=5).run(
        outcomes=[Outcome(sigterm_after_us=None)],
        stop_grace_us=30,
        node_us=times((5, 9, 9)),
        node_images=[((), (0,), ())],
        images=[()],
        pull_us=[9],
    )
    assert [row[5:] for row in children(record)] == [(0, -1, 5, -1), (0, 0, 5, 137)]


def test_another_attempt_of_the_main_node_runs_all_nodes_again():
    record = gang(attempts=2, runtime=10).run(outcomes=[Outcome(script=((1, ""), (0, "")))])
    assert [row[1:3] for row in children(record)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [row[7] for row in children(record)] == [10, 10, 20, 20]
    assert (record.e_ended_us[0], record.ended_us[0]) == (10, 20)


def test_without_a_main_node_that_runs_there_are_no_children():
    record = gang().run(outcomes=[Outcome(start_failure_rate=1.0)])
    assert (children(record), record.state[0], record.ended_us[0]) == ([], FAILED, 0)


def test_the_time_limit_is_of_the_whole_job_and_children_go_with_the_main_node():
    record = gang(timeout_us=40).run(outcomes=[Outcome(sigterm_after_us=7, sigterm_exit=1)], stop_grace_us=9)
    assert (record.ended_us[0], record.exit_code[0]) == (47, 1)
    assert [row[7:] for row in children(record)] == [(47, 137), (47, 137)]


def test_terminating_a_job_whose_main_node_starts_ends_it_at_once():
    record = gang().run(container_start_us=50, requests=[JobsEvent(20, "terminate", (range(1),), "enough")])
    assert (record.ended_us[0], record.started_us[0], children(record)) == (20, -1, [])


def test_at_the_horizon_nodes_have_ended_or_have_not():
    record = gang(4).run(30, node_us=times((100, 10, 30, 5)), node_images=[((), (), (), (0,))], pull_us=[31])
    assert record.state[0] == RUNNING
    assert [row[6:] for row in children(record)] == [(0, 10, 0), (0, -1, -1), (-1, -1, -1)]


def test_images_stay_on_the_instances_of_all_nodes():
    builder = gang(2, runtime=20)
    builder.job(0, 1, NODE)
    builder.job(0, 1, Need(4, 8, 0))
    images: dict[str, object] = {"images": [(0,), (0,), (1,)], "node_images": [((0,), (1,)), (), ()]}
    record = builder.run(pull_us=[5, 5, 5], **images)
    assert list(record.started_us) == [5, 25, 25]
