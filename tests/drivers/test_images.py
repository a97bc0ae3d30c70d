"""Images of attempts with several containers, and what they do before they are RUNNING."""

from __future__ import annotations

from batchsim.core.plan import EnvironmentPlan, Need
from tests.harness import PlanBuilder, machine


def two_classes(*submits: tuple[int, int]) -> PlanBuilder:
    """Jobs (submitted, number of vCPUs) on one machine; their classes differ by vCPUs."""
    builder = PlanBuilder([machine(9)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    for submit, vcpus in submits:
        builder.job(submit, 10, Need(vcpus, 1, 0))
    return builder


def test_an_attempt_waits_for_all_its_images_which_are_pulled_at_once():
    record = two_classes((0, 1)).run(images=[(0, 1, 2)], pull_us=[5], container_start_us=2)
    assert record.started_us[0] == 7


def test_an_image_that_is_there_or_under_way_is_not_pulled_again():
    builder = two_classes((0, 1), (3, 2), (30, 2))
    record = builder.run(images=[(0,), (0, 1)], pull_us=[5, 5])
    assert list(record.started_us) == [5, 8, 30]


def test_what_another_pulls_is_waited_for_only_by_those_who_need_it():
    record = two_classes((0, 1), (1, 2)).run(images=[(0,), (1,)], pull_us=[50, 5])
    assert list(record.started_us) == [50, 6]


def test_spec_112_init_containers_run_after_the_pull_and_before_running():
    record = two_classes((0, 1), (0, 1)).run(
        images=[(0,)], pull_us=[5], startup_us=[4, 0], dispatch_us=1, container_start_us=2
    )
    assert list(record.starting_us) == [1, 1]
    assert list(record.started_us) == [12, 8]
    assert list(record.ended_us) == [22, 18]
