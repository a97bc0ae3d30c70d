"""What a submission changes of its job definition, and what one job of it needs [spec 1.12-1.14]."""

from __future__ import annotations

import pytest

from batchsim.scenario import (
    ContainerProperties,
    GeneratedJobs,
    JobDefinition,
    PodResources,
    Resources,
    Scenario,
    effective_definition,
    load_scenario,
    substituted,
)

pytestmark = pytest.mark.usefixtures("all_built")


@pytest.fixture
def scenario(everything) -> Scenario:
    return load_scenario(everything)


def effective(scenario: Scenario, name: str) -> JobDefinition:
    (entry,) = [each for _, each in scenario.submissions() if each.name == name]
    return effective_definition(scenario.definition(entry.definitions()[0]), entry)


def entry(**given) -> GeneratedJobs:
    return GeneratedJobs.model_validate(
        {
            "name": "w",
            "jobQueue": "q",
            "jobDefinition": "d",
            "count": 1,
            "arrivals": {"atOnce": {}},
            "runtime": 1,
            **given,
        }
    )


def definition(**given) -> JobDefinition:
    return JobDefinition.model_validate({"jobDefinitionName": "d", **given})


def needs(*given: tuple[str, int]) -> list[dict]:
    return [{"type": kind, "value": value} for kind, value in given]


def test_nothing_changes_without_overrides(scenario):
    align = scenario.definition("align")
    assert effective_definition(align, entry()) == align


def test_submitted_values_win_one_by_one(scenario):
    changed = effective(scenario, "prepare")
    assert changed.parameters == {"sample": "S1"}
    assert changed.consumables() == {"licences": 3, "credits": 2}
    container = changed.containerProperties
    assert container.command == ("align", "Ref::sample")
    assert substituted(container.command, changed.parameters) == ("align", "S1")
    assert [(each.name, each.value) for each in container.environment] == [("THREADS", "8")]


def test_retry_strategy_and_timeout_are_replaced_whole(scenario):
    align = scenario.definition("align")
    changed = effective_definition(
        align, entry(retryStrategy={"attempts": 2}, timeout={"attemptDurationSeconds": 60})
    )
    assert changed.retryStrategy.attempts == 2
    assert changed.retryStrategy.evaluateOnExit == ()
    assert changed.timeout.attemptDurationSeconds == 60


def test_the_priority_of_the_submission_wins_even_when_it_is_zero(scenario):
    align = scenario.definition("align")
    assert effective_definition(align, entry()).schedulingPriority == 10
    assert effective_definition(align, entry(schedulingPriorityOverride=0)).schedulingPriority == 0


class TestContainerOverrides:
    """The deprecated fields do not reach into resourceRequirements [spec 1.14]."""

    def resources(self, container: dict, overrides: dict) -> Resources:
        before = definition(containerProperties={"image": "i", **container})
        return effective_definition(before, entry(containerOverrides=overrides)).resources()

    def test_requirements_replace_their_kind_only(self):
        container = {"resourceRequirements": needs(("VCPU", 4), ("MEMORY", 100))}
        overrides = {"resourceRequirements": needs(("MEMORY", 200), ("GPU", 2))}
        assert self.resources(container, overrides) == Resources(4, 200, 2)

    def test_requirements_replace_the_old_style(self):
        overrides = {"resourceRequirements": needs(("VCPU", 8))}
        assert self.resources({"vcpus": 4, "memory": 100}, overrides) == Resources(8, 100, 0)

    def test_the_old_style_replaces_the_old_style(self):
        assert self.resources({"vcpus": 4, "memory": 100}, {"vcpus": 8, "memory": 50}) == Resources(8, 50, 0)

    def test_the_old_style_does_not_replace_requirements(self):
        container = {"resourceRequirements": needs(("VCPU", 4)), "memory": 100}
        assert self.resources(container, {"vcpus": 8, "memory": 50}) == Resources(4, 50, 0)

    def test_what_changes_nothing_is_said(self, scenario):
        (said,) = [each for each in scenario.not_modelled() if each.startswith("workload.")]
        assert said.startswith("workload.prepare: containerOverrides.vcpus changes nothing")


class TestSeveralContainers:
    def test_a_task_needs_the_sum_of_its_containers(self, scenario):
        """[spec 1.13]"""
        assert scenario.definition("pair").resources() == Resources(3, 4264, 0)
        assert scenario.definition("pair").images() == ("busybox:1", "app:1", "log:1")
        assert scenario.definition("pair").container_names() == ("init", "app", "log")

    def test_an_override_is_of_the_container_it_names(self, scenario):
        assert effective(scenario, "tasks").resources() == Resources(4, 4264, 0)

    def test_a_pod_needs_the_sum_or_its_largest_init_container(self, scenario):
        """[spec 1.12] 1.75 + 0.25 CPUs are less than the 4 of the init container; 2048 + 128 MiB are more."""
        assert scenario.definition("pod").pod_resources() == PodResources(4000, 2176, 1)
        assert scenario.definition("pod").images() == ("fetch:1", "main:1", "side:1")

    def test_a_request_that_is_missing_is_the_limit(self, scenario):
        main, side = scenario.definition("pod").eksProperties.podProperties.containers
        assert main.resources.requested() == PodResources(1750, 2048, 1)
        assert side.resources.requested() == PodResources(250, 128, 0)

    def test_a_pods_override_replaces_the_kinds_it_names(self, scenario):
        pod = effective(scenario, "pods").eksProperties.podProperties
        assert [each.resources.requested() for each in pod.containers] == [
            PodResources(1750, 2048, 1),
            PodResources(500, 128, 0),
        ]
        assert pod.containers[1].resources.limits.cpu is None

    def test_an_override_without_a_name_is_of_the_only_container(self, scenario):
        learn = effective(scenario, "learn").nodeProperties
        assert [each.pod_resources() for each in learn.of_each_node()] == [PodResources(4000, 8000, 1)] * 2
        assert learn.instance_type == "g5.xlarge"

    def test_nodes_may_hold_several_containers(self, scenario):
        couple = effective(scenario, "couple")
        nodes = couple.nodeProperties
        assert [each.resources() for each in nodes.of_each_node()] == [
            Resources(4, 4000, 0),
            Resources(4, 8000, 0),
        ]
        assert [each.images() for each in nodes.of_each_node()] == [("sim:1", "viz:1"), ("sim:1",)]
        assert couple.consumables() == {"licences": 2}


def test_which_kind_a_definition_is_of(scenario):
    kinds = {each.jobDefinitionName: (each.kind, each.platform) for each in scenario.jobDefinitions}
    assert kinds == {
        "align": ("container", "ECS"),
        "pair": ("ecs", "ECS"),
        "pod": ("eks", "EKS"),
        "mpi": ("multinode", "ECS"),
        "coupled": ("multinode", "ECS"),
        "torch": ("multinode", "EKS"),
    }


@pytest.mark.parametrize(
    ("command", "parameters", "done"),
    [
        (["run", "Ref::x"], {"x": "1"}, ("run", "1")),
        (["--in=Ref::in/Ref::x.bam"], {"in": "s3://b", "x.bam": "y"}, ("--in=s3://b/y",)),
        (["Ref::a", "Ref::b"], {"a": "Ref::b", "b": "2"}, ("Ref::b", "2")),
        (["Ref::missing", "Ref::"], {}, ("Ref::missing", "Ref::")),
        ([], {"x": "1"}, ()),
    ],
)
def test_parameters_are_put_into_the_command(command, parameters, done):
    assert substituted(command, parameters) == done


def test_a_container_keeps_its_other_settings():
    container = ContainerProperties.model_validate(
        {
            "image": "i",
            "vcpus": 1,
            "memory": 4,
            "command": ["a"],
            "environment": [{"name": "A", "value": "1"}],
        }
    )
    before = definition(containerProperties=container.model_dump(exclude_unset=True, mode="json"))
    overrides = {"environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}
    after = effective_definition(before, entry(containerOverrides=overrides)).containerProperties
    assert after.command == ("a",)
    assert [(each.name, each.value) for each in after.environment] == [("A", "3"), ("B", "2")]
