from __future__ import annotations

import hashlib
import json
import pickle
from typing import TYPE_CHECKING, ClassVar

import pydantic
import pytest

from batchsim.scenario import (
    ComputeEnvironment,
    ContainerOverrides,
    ContainerProperties,
    Distribution,
    GeneratedJobs,
    JobQueue,
    Resources,
    Scenario,
    TraceJobs,
    load_scenario,
    parse_scenario,
)

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000


def with_(base: Path, *overrides: str) -> Scenario:
    return load_scenario(base, overrides)


def test_the_log_scenario_holds_integers_in_our_units(kth):
    scenario = load_scenario(kth)
    assert (scenario.batchsim, scenario.name, scenario.region) == (1, "kth", "us-east-1")
    (environment,) = scenario.computeEnvironments
    (machine,) = environment.instances
    assert (machine.vcpus, machine.memory, machine.gpus, machine.count, machine.usdPerHour) == (
        100,
        2**20,
        0,
        1,
        0,
    )
    (entry,) = scenario.workload
    assert isinstance(entry, TraceJobs)
    assert (entry.trace.format, entry.trace.path) == ("swf", "KTH-SP2-1996-2.1-cln.swf.gz")
    assert (entry.trace.scaleArrivals, entry.trace.limit, entry.trace.from_, entry.trace.to) == (
        1.0,
        None,
        None,
        None,
    )
    assert scenario.jobDefinitions == ()
    assert scenario.horizon is None
    assert scenario.base_dir == kth.parent
    assert scenario.not_modelled() == []


def test_the_genomics_scenario_holds_integers_in_our_units(genomics):
    scenario = load_scenario(genomics)
    cloud, lab = scenario.computeEnvironments
    assert cloud.computeResources is not None
    assert (cloud.computeResources.minvCpus, cloud.computeResources.maxvCpus) == (0, 512)
    assert cloud.computeResources.instanceTypes == ("c6i", "m6i", "r6i")
    assert [machine.instanceType for machine in lab.instances] == ["m5.4xlarge", None]
    assert [machine.usdPerHour for machine in lab.instances] == [None, 0.0]
    assert lab.instances[1].memory == 200 * 1024
    definition = scenario.definition("align")
    assert definition.containerProperties.resources() == Resources(4, 7400, 0)
    assert [rule.action for rule in definition.retryStrategy.evaluateOnExit] == ["RETRY", "EXIT"]
    samples, history = scenario.workload
    assert isinstance(samples, GeneratedJobs)
    assert isinstance(history, TraceJobs)
    assert samples.arrivals.kind == "poisson"
    assert samples.arrivals.chosen.rate == pytest.approx(120 / 3600, rel=1e-15)
    assert samples.runtime is not None
    assert (samples.runtime.chosen.median, samples.runtime.chosen.p95) == (720 * SECOND, 2400 * SECOND)
    assert samples.imageSize == 900 * 2**20
    assert samples.failure is not None
    assert (samples.failure.rate, samples.failure.exitCode) == (0.01, 1)


@pytest.mark.parametrize("name", ["kth", "genomics"])
def test_what_was_given_reads_back_to_an_equal_scenario(request, name):
    scenario = load_scenario(request.getfixturevalue(name))
    again = parse_scenario(json.dumps(scenario.to_dict()), file="again.json")
    assert again.to_dict() == scenario.to_dict()
    assert again.digest() == scenario.digest()
    assert again.model_dump() == scenario.model_dump()


def test_what_was_not_given_is_not_in_the_dump(kth):
    given = load_scenario(kth).to_dict()
    assert given["assumptions"] == {"preset": "ideal"}
    assert given["computeEnvironments"][0]["instances"] == [
        {"vcpus": 100, "memory": "1048576MiB", "count": 1, "usdPerHour": 0.0}
    ]
    assert "jobDefinitions" not in given


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("horizon=90s", "horizon=1.5m"),
        ("workload.samples.count=1000", "workload.samples.count=1e3"),
        ("workload.samples.imageSize=1GiB", "workload.samples.imageSize=1024MiB"),
        ("workload.samples.runtime=5m", "workload.samples.runtime={constant: 300}"),
        ("workload.samples.arrivals.poisson.rate=60/h", "workload.samples.arrivals.poisson.rate=1/m"),
    ],
)
def test_the_digest_is_of_the_meaning_not_of_the_spelling(genomics, one, other):
    assert with_(genomics, one).digest() == with_(genomics, other).digest()
    assert with_(genomics, one).digest() != load_scenario(genomics).digest()


def test_the_digest_is_of_canonical_json(kth):
    # A change here is a change of the notation of `to_dict`, and of every manifest.
    canonical = (
        '{"assumptions":{"preset":"ideal"},"batchsim":1,'
        '"computeEnvironments":[{"computeEnvironmentName":"cluster",'
        '"instances":[{"count":1,"memory":"1048576MiB","usdPerHour":0.0,"vcpus":100}],"type":"UNMANAGED"}],'
        '"jobQueues":[{"computeEnvironmentOrder":[{"computeEnvironment":"cluster","order":1}],'
        '"jobQueueName":"q","priority":1}],"name":"kth","region":"us-east-1",'
        '"workload":[{"jobQueue":"q","name":"kth","trace":{"format":"swf","path":"KTH-SP2-1996-2.1-cln.swf.gz"}}]}'
    )
    assert load_scenario(kth).digest() == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize("text", ["1us", "999999us", "1ms", "1500ms", "1s", "90s", "9007199254740991us"])
def test_a_duration_reads_back_to_the_microsecond(genomics, text):
    scenario = with_(genomics, f"workload.samples.arrivals.poisson.start={text}")
    start = scenario.workload[0].arrivals.poisson.start
    again = parse_scenario(json.dumps(scenario.to_dict()))
    assert again.workload[0].arrivals.poisson.start == start
    assert scenario.to_dict()["workload"][0]["arrivals"]["poisson"]["start"] == text


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1MiB", 2**20), ("7B", 7), ("1.5kB", 1500), ("3", 3 * 2**20)]
)
def test_an_image_size_is_exact_to_the_byte(genomics, text, size):
    scenario = with_(genomics, f"workload.samples.imageSize={text}")
    assert scenario.workload[0].imageSize == size
    assert parse_scenario(json.dumps(scenario.to_dict())).workload[0].imageSize == size


def test_models_cannot_be_changed(kth):
    scenario = load_scenario(kth)
    with pytest.raises(pydantic.ValidationError):
        scenario.name = "other"


def test_a_scenario_survives_pickling(genomics):
    scenario = load_scenario(genomics)
    again = pickle.loads(pickle.dumps(scenario))  # noqa: S301 - our own bytes
    assert again.digest() == scenario.digest()
    assert again.base_dir == scenario.base_dir
    assert again.origin("workload", 1) == scenario.origin("workload", 1)


class TestNames:
    def test_an_arn_is_resolved_to_its_last_component(self, genomics):
        scenario = with_(
            genomics,
            "jobQueues.urgent.computeEnvironmentOrder.0.computeEnvironment="
            "arn:aws:batch:us-east-1:123456789012:compute-environment/lab",
            "workload.history.jobQueue=arn:aws:batch:us-east-1:123456789012:job-queue/urgent",
            "workload.samples.jobDefinition=arn:aws:batch:us-east-1:123456789012:job-definition/align:1",
        )
        assert scenario.jobQueues[0].environments() == ("lab",)
        assert [entry.jobQueue for entry in scenario.workload] == ["bulk", "urgent"]
        assert scenario.workload[0].jobDefinition == "align:1"

    def test_lookups_find_and_miss(self, genomics):
        scenario = load_scenario(genomics)
        assert scenario.queue("bulk").priority == 1
        assert scenario.environment("lab").type == "UNMANAGED"
        for missing in (scenario.queue, scenario.environment, scenario.definition):
            with pytest.raises(KeyError):
                missing("nobody")

    def test_environments_of_a_queue_come_in_their_order(self):
        queue = JobQueue.model_validate(
            {
                "jobQueueName": "q",
                "computeEnvironmentOrder": [
                    {"order": 7, "computeEnvironment": "late"},
                    {"order": 2, "computeEnvironment": "early"},
                ],
            }
        )
        assert queue.environments() == ("early", "late")

    def test_a_definition_without_revision_is_the_latest_active_one(self, genomics):
        scenario = with_(genomics, f"jobDefinitions={REVISIONS}", "workload.samples.jobDefinition=align")
        assert scenario.definition("align").revision == 9
        assert scenario.definition("align:3").containerProperties.image == "i:3"
        with pytest.raises(KeyError):
            scenario.definition("align:10")

    def test_an_inactive_revision_cannot_be_used(self, genomics, problems_of):
        (line,) = problems_of(
            genomics.read_text(), f"jobDefinitions={REVISIONS}", "workload.samples.jobDefinition=align:10"
        )
        assert "workload.samples.jobDefinition: expected the name of an ACTIVE job definition" in line


def _revision(number: int, status: str) -> str:
    return (
        f"{{jobDefinitionName: align, revision: {number}, status: {status}, "
        f"containerProperties: {{image: 'i:{number}', vcpus: 1, memory: 4}}}}"
    )


REVISIONS = f"[{_revision(3, 'ACTIVE')}, {_revision(9, 'ACTIVE')}, {_revision(10, 'INACTIVE')}]"


class TestResources:
    def test_resource_requirements_win_over_the_old_style(self, genomics):
        scenario = with_(
            genomics,
            "jobDefinitions.align.containerProperties={image: i, vcpus: 1, memory: 100, "
            "resourceRequirements: [{type: VCPU, value: 8}, {type: GPU, value: '2'}]}",
        )
        assert scenario.definition("align").containerProperties.resources() == Resources(8, 100, 2)

    def test_overrides_replace_only_what_they_name(self):
        overrides = ContainerOverrides.model_validate(
            {"resourceRequirements": [{"type": "MEMORY", "value": "2GiB"}]}
        )
        container = ContainerProperties.model_validate(
            {"image": "i", "vcpus": 4, "memory": 7400, "resourceRequirements": [{"type": "GPU", "value": 1}]}
        )
        assert container.overridden(overrides).resources() == Resources(4, 2048, 1)

    def test_a_bare_duration_is_a_constant_distribution(self):
        distribution = Distribution.model_validate("2m")
        assert (distribution.kind, distribution.chosen) == ("constant", 120 * SECOND)


class TestPastedAnswers:
    """Answers of describe-compute-environments, describe-job-queues and describe-job-definitions."""

    ENVIRONMENT: ClassVar = {
        "computeEnvironmentName": "od-ce",
        "computeEnvironmentArn": "arn:aws:batch:us-east-1:123456789012:compute-environment/od-ce",
        "ecsClusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-od-ce-1111",
        "tags": {},
        "type": "MANAGED",
        "state": "ENABLED",
        "status": "VALID",
        "statusReason": "ComputeEnvironment Healthy",
        "computeResources": {
            "type": "EC2",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": 256,
            "desiredvCpus": 16,
            "instanceTypes": ["c6i", "m6i"],
            "subnets": ["subnet-a", "subnet-b"],
            "securityGroupIds": ["sg-1"],
            "instanceRole": "ecsInstanceRole",
            "tags": {},
            "ec2Configuration": [{"imageType": "ECS_AL2023"}],
            "scalingPolicy": {"minScaleDownDelayMinutes": 0},
        },
        "serviceRole": "arn:aws:iam::123456789012:role/AWSServiceRoleForBatch",
        "updatePolicy": {"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 30},
        "containerOrchestrationType": "ECS",
        "uuid": "1111",
    }

    def test_an_environment(self):
        environment = ComputeEnvironment.model_validate(self.ENVIRONMENT)
        assert environment.computeResources is not None
        assert environment.computeResources.desiredvCpus == 16

    def test_a_whole_scenario_says_what_is_not_modelled(self, genomics):
        environment = {**self.ENVIRONMENT, "computeEnvironmentName": "cloud"}
        scenario = with_(genomics, f"computeEnvironments.cloud={json.dumps(environment)}")
        sentences = scenario.not_modelled()
        assert len(sentences) == len(set(sentences)) == 3
        assert any("Subnets" in sentence for sentence in sentences)
        assert any("IAM" in sentence for sentence in sentences)
        assert any("launch templates" in sentence for sentence in sentences)

    def test_a_queue_and_a_definition(self, genomics):
        queue = {
            "jobQueueName": "bulk",
            "jobQueueArn": "arn:aws:batch:us-east-1:123456789012:job-queue/bulk",
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": 10,
            "computeEnvironmentOrder": [
                {
                    "order": 1,
                    "computeEnvironment": "arn:aws:batch:us-east-1:123456789012:compute-environment/cloud",
                }
            ],
            "jobQueueType": "ECS",
            "jobStateTimeLimitActions": [],
            "tags": {},
        }
        definition = {
            "jobDefinitionName": "align",
            "jobDefinitionArn": "arn:aws:batch:us-east-1:123456789012:job-definition/align:4",
            "revision": 4,
            "status": "ACTIVE",
            "type": "container",
            "schedulingPriority": 0,
            "parameters": {"sample": "S0"},
            "retryStrategy": {"attempts": 3, "evaluateOnExit": []},
            "containerProperties": {
                "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/align:1.2",
                "command": ["align", "Ref::sample"],
                "environment": [],
                "mountPoints": [],
                "volumes": [],
                "ulimits": [],
                "resourceRequirements": [{"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "7500"}],
                "secrets": [],
            },
            "timeout": {"attemptDurationSeconds": 7200},
            "platformCapabilities": ["EC2"],
            "propagateTags": False,
            "containerOrchestrationType": "ECS",
            "tags": {},
        }
        scenario = with_(
            genomics, f"jobQueues.bulk={json.dumps(queue)}", f"jobDefinitions.align={json.dumps(definition)}"
        )
        assert scenario.queue("bulk").environments() == ("cloud",)
        assert scenario.definition("align:4").timeout is not None
        assert [sentence[:18] for sentence in scenario.not_modelled()] == ["Container settings"]
