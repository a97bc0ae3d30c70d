"""Each rule of a scenario, broken once: `--set` text and what the error says."""

from __future__ import annotations

import pytest

ENV = "computeEnvironments"
CLOUD = f"{ENV}.cloud.computeResources"
LAB = f"{ENV}.lab.instances"
ALIGN = "jobDefinitions.align"
CONTAINER = f"{ALIGN}.containerProperties"
RETRY = f"{ALIGN}.retryStrategy"
SAMPLES = "workload.samples"
TRACE = "workload.history.trace"


def in_order(*entries: tuple[int, str]) -> str:
    items = ", ".join(f"{{order: {order}, computeEnvironment: {name}}}" for order, name in entries)
    return f"jobQueues.bulk.computeEnvironmentOrder=[{items}]"


RATES = {n: f"[{', '.join(['1/h'] * n)}]" for n in (23, 24, 25)}

BROKEN = [
    # the root
    ("batchsim=2", "batchsim: expected 1, found 2"),
    ("name=12", "name: expected text, found 12; put it in quotes"),
    ("name=-a", "name: expected a name of letters"),
    ("name=.a", "name: expected a name of letters"),
    ("name=a/b", "name: expected a name of letters"),
    ("region=mars", "region: expected an AWS region such as us-east-1, found 'mars'"),
    ("horizon=0", "horizon: expected a duration above 0 and up to 10 years, found 0"),
    ("horizon=3661d", "horizon: expected a duration above 0 and up to 10 years, found '3661d'"),
    (
        "computeEnvironments=[]",
        "computeEnvironments: expected at least 1 entries in computeEnvironments, found an empty list",
    ),
    ("jobQueues={}", "jobQueues: expected a list, found an empty mapping"),
    ("workload=[]", "workload: expected at least 1 entries, found an empty list"),
    # compute environments
    (
        f"{ENV}.cloud.type=managed",
        "cloud.type: expected 'MANAGED' or 'UNMANAGED', found 'managed'; did you mean MANAGED?",
    ),
    (f"{ENV}.cloud.state=yes", "cloud.state: expected 'ENABLED' or 'DISABLED', found 'yes'"),
    (f"{ENV}.cloud.computeResources=", "expected computeResources in a MANAGED environment, found nothing"),
    (f"{ENV}.cloud.instances=[{{instanceType: c5}}]", "instances does not belong to MANAGED environments"),
    (
        f"{ENV}.lab.computeResources={{type: EC2, allocationStrategy: BEST_FIT_PROGRESSIVE, maxvCpus: 1}}",
        "computeResources does not belong to UNMANAGED",
    ),
    (f"{CLOUD}.type=FARGATE", "this one is for ECS, and bulk runs ECS_FARGATE jobs"),
    (
        f"{CLOUD}.type=ECS_MANAGED_INSTANCES",
        "expected managedInstancesProvider in an environment of type ECS_MANAGED_INSTANCES",
    ),
    (
        f"{CLOUD}.type=ec2",
        "'FARGATE', 'FARGATE_SPOT' or 'ECS_MANAGED_INSTANCES', found 'ec2'; did you mean EC2?",
    ),
    (
        f"{CLOUD}.allocationStrategy=BEST",
        "allocationStrategy: expected 'BEST_FIT', 'BEST_FIT_PROGRESSIVE', 'BEST_FIT_PROGRESSIVE_ORDERED'",
    ),
    (f"{CLOUD}.minvCpus=513", "minvCpus: expected at most maxvCpus = 512, found 513"),
    (f"{CLOUD}.minvCpus=-1", "minvCpus: expected a value of at least 0, found -1"),
    (f"{CLOUD}.minvCpus=1.5", "minvCpus: expected a whole number, found 1.5"),
    (f"{CLOUD}.maxvCpus='512'", "maxvCpus: expected a whole number, found '512'; remove the quotes"),
    (f"{CLOUD}.maxvCpus=true", "maxvCpus: expected a whole number, found true"),
    (
        f"{CLOUD}.desiredvCpus=513",
        "desiredvCpus: expected a number between minvCpus = 0 and maxvCpus = 512, found 513",
    ),
    (f"{CLOUD}.instanceTypes=[]", "instanceTypes: expected at least 1 entries"),
    (f"{CLOUD}.instanceTypes=[C6I]", "instanceTypes.0: expected an instance type, a family or a bundle"),
    (
        f"{CLOUD}.scalingPolicy.minScaleDownDelayMinutes=19",
        "minScaleDownDelayMinutes: expected 20 or more, or 0 for no delay, found 19",
    ),
    (f"{LAB}.1.memory=3MiB", "memory: expected 4 MiB to 95.37 TiB, found '3MiB'"),
    (f"{LAB}.1.memory=", "this machine is not described: expected instanceType, or vcpus and memory"),
    (f"{LAB}.1.vcpus=0", "vcpus: expected a value of at least 1, found 0"),
    (f"{LAB}.1.vcpus=10001", "vcpus: expected a value of at most 10000, found 10001"),
    (f"{LAB}.1.instanceType=m5.large", "vcpus: instanceType already says the vcpus"),
    (f"{LAB}.1.usdPerHour=-0.1", "usdPerHour: expected a value of at least 0, found -0.1"),
    (f"{LAB}.m5.4xlarge.count=100001", "count: expected a value of at most 100000"),
    (
        f"{LAB}=[{', '.join(['{instanceType: m5.large, count: 100000}'] * 11)}]",
        "1,100,000 machines are described",
    ),
    (f"{LAB}=[{{instanceType: a, name: x}}, {{instanceType: b, name: x}}]", "this name is already taken"),
    (
        f"{ENV}.1.computeEnvironmentName=cloud",
        "this name is already taken; give each computeEnvironmentName once",
    ),
    # job queues
    ("jobQueues.bulk.priority=10000", "priority: expected a value of at most 9999, found 10000"),
    ("jobQueues.bulk.priority=-1", "priority: expected a value of at least 0, found -1"),
    ("jobQueues.bulk.computeEnvironmentOrder=[]", "computeEnvironmentOrder: expected at least 1 entries in"),
    (
        in_order((1, "a"), (2, "b"), (3, "c"), (4, "d")),
        "computeEnvironmentOrder: expected at most 3 entries, found a list of 4",
    ),
    (
        in_order((1, "cloud"), (1, "lab")),
        "computeEnvironmentOrder.lab.order: this order stands twice in the queue",
    ),
    (
        in_order((1, "cloud"), (2, "cloud")),
        "computeEnvironment: this computeEnvironment stands twice in the queue",
    ),
    (
        "jobQueues.bulk.computeEnvironmentOrder.cloud.computeEnvironment=clout",
        "expected the name of a compute environment, found 'clout'; did you mean cloud?",
    ),
    (
        "jobQueues.bulk.jobQueueType=SAGEMAKER_TRAINING",
        "does not belong to a queue of type SAGEMAKER_TRAINING",
    ),
    ("jobQueues.0.jobQueueName=bulk", "this name is already taken; give each jobQueueName once"),
    # job definitions
    (f"{ALIGN}.platformCapabilities=[FARGATE]", "this one is for ECS_FARGATE, and bulk runs ECS jobs"),
    (f"{ALIGN}.revision=0", "revision: expected a value of at least 1"),
    (f"{CONTAINER}.image=", "image: the key 'image' has no value"),
    (f"{CONTAINER}.resourceRequirements=[{{type: VCPU, value: '1'}}]", "expected a MEMORY requirement"),
    (
        f"{CONTAINER}.resourceRequirements.VCPU.value='0.5'",
        "jobDefinitions.align: 0.5 vCPU is for Fargate only; round it up",
    ),
    (
        f"{CONTAINER}.resourceRequirements.VCPU.value='0.3'",
        "value: expected 0.25 to 10000 vCPUs, whole or quarters, found '0.3'",
    ),
    (
        f"{CONTAINER}.resourceRequirements.VCPU.value=10001",
        "value: expected 0.25 to 10000 vCPUs, whole or quarters, found 10001",
    ),
    (
        f"{CONTAINER}.resourceRequirements.VCPU.value=true",
        "value: expected 0.25 to 10000 vCPUs, whole or quarters, found true",
    ),
    (f"{CONTAINER}.resourceRequirements.MEMORY.value='3'", "value: expected 4 to 10000000 MiB, found '3'"),
    (
        f"{CONTAINER}.resourceRequirements.MEMORY.value=lots",
        "value: expected 4 to 10000000 MiB, found 'lots'",
    ),
    (f"{CONTAINER}.resourceRequirements.MEMORY.type=VCPU", "type: VCPU is required twice"),
    (
        f"{CONTAINER}.resourceRequirements.VCPU.type=CPU",
        "type: expected 'VCPU', 'MEMORY' or 'GPU', found 'CPU'; did you mean VCPU?",
    ),
    (f"{CONTAINER}.memory=3", "memory: expected a value of at least 4, found 3"),
    (f"{RETRY}.attempts=0", "attempts: expected a value of at least 1, found 0"),
    (f"{RETRY}.attempts=11", "attempts: expected a value of at most 10, found 11"),
    (
        f"{RETRY}={{evaluateOnExit: [{{action: EXIT}}]}}",
        "expected attempts beside evaluateOnExit, found nothing",
    ),
    (
        f"{RETRY}.evaluateOnExit=[{', '.join(['{action: EXIT}'] * 6)}]",
        "evaluateOnExit: expected at most 5 entries",
    ),
    (
        f"{RETRY}.evaluateOnExit.0.onReason='*Spot*'",
        "onReason: Evaluate on exit condition contains restricted characters",
    ),
    (
        f"{RETRY}.evaluateOnExit.0.onStatusReason=a*b",
        "onStatusReason: Evaluate on exit condition contains restricted",
    ),
    (f"{RETRY}.evaluateOnExit.0.onExitCode=1x", "onExitCode: Evaluate on exit condition contains restricted"),
    (f"{RETRY}.evaluateOnExit.0.onReason={'a' * 513}", "onReason: expected 1 to 512 characters"),
    (f"{RETRY}.evaluateOnExit.0.onReason=''", "onReason: expected 1 to 512 characters"),
    (f"{RETRY}.evaluateOnExit.0.action=STOP", "action: expected 'RETRY' or 'EXIT', found 'STOP'"),
    (
        f"{ALIGN}.timeout.attemptDurationSeconds=59",
        "attemptDurationSeconds: expected a value of at least 60, found 59",
    ),
    # workload
    (
        f"{SAMPLES}.jobQueue=bulky",
        "jobQueue: expected the name of a job queue, found 'bulky'; did you mean bulk?",
    ),
    (
        f"{SAMPLES}.jobDefinition=aline",
        "expected the name of an ACTIVE job definition, found 'aline'; did you mean align?",
    ),
    (f"{SAMPLES}.jobDefinition=align:0", "jobDefinition: expected a name, or name:revision, found 'align:0'"),
    (
        f"{SAMPLES}.mix=[{{weight: 1, jobDefinition: align}}]",
        "there is both: expected exactly one of jobDefinition and mix",
    ),
    (f"{SAMPLES}.jobDefinition=", "there is none of them: expected exactly one of jobDefinition and mix"),
    (f"{SAMPLES}.count=0", "count: expected a value of at least 1, found 0"),
    (f"{SAMPLES}.count=10000001", "count: expected a value of at most 10000000"),
    (f"{SAMPLES}.count=", "arrivals: poisson arrivals would never end: expected count, until or both"),
    (f"{SAMPLES}.runtime=", "expected a runtime, found nothing"),
    (
        f"{SAMPLES}.arrivals={{}}",
        "arrivals: there is none of them: expected exactly one of atOnce, every, poisson, hourly, times",
    ),
    (f"{SAMPLES}.arrivals={{atOnce: }}", "arrivals: there is none of them: expected exactly one of"),
    (
        f"{SAMPLES}.arrivals={{atOnce: {{}}, times: [1]}}",
        "there is atOnce and times: expected exactly one of",
    ),
    (f"{SAMPLES}.arrivals={{times: [1s, 2s]}}", "count: the times already say how many jobs there are"),
    (f"{SAMPLES}.arrivals.poisson.rate=0/h", "rate: expected a value above 0, found '0/h'"),
    (
        f"{SAMPLES}.arrivals.poisson.rate=-3/h",
        "rate: expected a rate of 0 or more such as '120/h', found '-3/h'",
    ),
    (
        f"{SAMPLES}.arrivals.poisson.rate=3/week",
        "rate: expected a rate such as '120/h', '2/s' or '5/m', found '3/week'",
    ),
    (
        f"{SAMPLES}.arrivals.poisson.rate=120",
        "rate: expected a rate such as '120/h', '2/s' or '5/m', found 120; add a unit: 120/h, 120/m or 120/s",
    ),
    (f"{SAMPLES}.arrivals.poisson.rate='0.5'", "found '0.5'; add a unit: 0.5/h, 0.5/m or 0.5/s"),
    (f"{SAMPLES}.runtime='90'", "found '90'; add a unit: 90s, 90m or 90h"),
    (f"{SAMPLES}.imageSize=7.5", "found 7.5; add a unit: 7.5MB or 7.5GB"),
    (
        "assumptions.instanceVolume=30",
        "expected a size with a unit such as '30GiB', found 30; if that is what you mean, write 30GiB",
    ),
    (f"{ENV}.cloud.instanceVolume=30MiB", "expected a size of at least 1GiB, or 0, found '30MiB'"),
    (
        "assumptions.imagePullRate=100 m/s",
        "expected bytes a second such as '100MB/s', or a number of MB/s, found '100 m/s'",
    ),
    (f"{SAMPLES}.arrivals={{every: {{interval: 0}}}}", "interval: expected a value above 0, found 0"),
    (
        f"{SAMPLES}.arrivals={{hourly: {{rates: [{', '.join(['0'] * 24)}]}}}}",
        "rates: expected at least one rate above 0",
    ),
    (
        f"{SAMPLES}.arrivals={{hourly: {{rates: {RATES[23]}}}}}",
        "rates: expected at least 24 entries",
    ),
    (
        f"{SAMPLES}.arrivals={{hourly: {{rates: {RATES[25]}}}}}",
        "rates: expected at most 24 entries",
    ),
    (
        f"{SAMPLES}.arrivals={{hourly: {{rates: {RATES[24]}, startHour: 24}}}}",
        "startHour: expected a value of at most 23",
    ),
    (
        f"{SAMPLES}.runtime=12:30",
        "runtime: expected a duration such as '90s', '12m' or '1h30m', found '12:30'",
    ),
    (f"{SAMPLES}.runtime=-5", "runtime: expected a duration of 0 or more seconds, found -5"),
    (f"{SAMPLES}.runtime={{constant: 286y}}", "runtime.constant: expected a duration such as"),
    (
        f"{SAMPLES}.runtime={{uniform: {{low: 5m, high: 3m}}}}",
        "high: expected a duration of at least low, found '3m'",
    ),
    (f"{SAMPLES}.runtime={{exponential: {{mean: 0s}}}}", "mean: expected a value above 0, found '0s'"),
    (f"{SAMPLES}.runtime.lognormal.p95=11m", "p95: expected a duration of at least the median, found '11m'"),
    (f"{SAMPLES}.runtime={{gamma: {{mean: 1m, cv: 0}}}}", "cv: expected a value above 0, found 0"),
    (
        f"{SAMPLES}.runtime={{empirical: {{path: x.csv, unit: d}}}}",
        "unit: expected 's', 'ms', 'm' or 'h', found 'd'",
    ),
    (f"{SAMPLES}.failure.rate=1.01", "rate: expected a value of at most 1"),
    (f"{SAMPLES}.failure.exitCode=0", "exitCode: expected a value of at least 1, found 0"),
    (f"{SAMPLES}.failure.exitCode=256", "exitCode: expected a value of at most 255, found 256"),
    (
        f"{SAMPLES}.runtime={{lognormal: {{median: 9m, mean: 10m, p95: 20m}}}}",
        "lognormal.mean: unknown key; a lognormal is given by its median and p95; a gamma by its mean and cv",
    ),
    (f"{SAMPLES}.dependsOn=[{{jobId: x}}]", "dependsOn.0.jobId: unknown key; choose from group, type"),
    (f"{SAMPLES}.dependOn=[]", "dependOn: unknown key; did you mean dependsOn?"),
    (f"{SAMPLES}.name=history", "this name is already taken; give each name once"),
    (f"{TRACE}.format=csv", "format: expected 'swf' or 'wfformat', found 'csv'"),
    (f"{TRACE}.path=''", "path: expected at least 1 characters, found ''"),
    (f"{TRACE}.scaleArrivals=0", "scaleArrivals: expected a value above 0"),
    (f"{TRACE}.limit=0", "limit: expected a value of at least 1, found 0"),
    (f"{TRACE}.memoryPerVcpu=0", "memoryPerVcpu: expected 1 MiB to 9.537 TiB, found 0"),
    ("workload.history.runtime=5m", "runtime: unknown key"),
    # assumptions
    (
        "assumptions.preset=idle",
        "preset: expected 'aws', 'measured' or 'ideal', found 'idle'; did you mean ideal?",
    ),
    ("assumptions.backfill=all", "backfill: expected 'none', 'greedy' or 'easy', found 'all'"),
    ("assumptions.imagePullRate=-1", "imagePullRate: expected a value of at least 0, found -1"),
    (
        "assumptions.instanceLaunch={lognormal: {median: 20s}}",
        "instanceLaunch.lognormal: the key 'p95' is missing",
    ),
    ("assumptions.scheduleInterval=1s", "scheduleInterval: unknown key; did you mean schedulingInterval?"),
]


@pytest.mark.parametrize(("override", "said"), BROKEN, ids=[override[:60] for override, _ in BROKEN])
def test_a_broken_rule_gives_one_clear_line(genomics, problems_of, override, said):
    lines = problems_of(genomics.read_text(), override)
    assert len(lines) == 1
    assert said in lines[0]


def test_a_disabled_queue_accepts_no_jobs(genomics, problems_of):
    lines = problems_of(genomics.read_text(), "jobQueues.bulk.state=DISABLED")
    assert len(lines) == 2
    assert all("a DISABLED job queue accepts no jobs" in line for line in lines)


def test_a_window_of_a_trace_is_not_empty(genomics, problems_of):
    text = genomics.read_text()
    assert problems_of(text, f"{TRACE}.from=1h", f"{TRACE}.to=2h") == []
    (line,) = problems_of(text, f"{TRACE}.from=2h", f"{TRACE}.to=2h")
    assert "trace.to: expected a duration above from, found '2h'" in line


AT_THE_LIMIT = [
    "name=" + "a" * 128,
    "horizon=3660d",
    f"{CLOUD}.minvCpus=512",
    f"{CLOUD}.desiredvCpus=512",
    f"{CLOUD}.maxvCpus=0",
    f"{LAB}.1.vcpus=10000",
    f"{LAB}.1.memory=4MiB",
    f"{LAB}=[{', '.join(['{instanceType: m5.large, count: 100000}'] * 10)}]",
    "jobQueues.bulk.priority=9999",
    "jobQueues.bulk.priority=0",
    f"{CONTAINER}.resourceRequirements.VCPU.value=10000",
    f"{CONTAINER}.resourceRequirements.MEMORY.value=4",
    f"{CONTAINER}.resourceRequirements.MEMORY.value='10000000'",
    f"{RETRY}.attempts=10",
    f"{RETRY}.evaluateOnExit=[{', '.join(['{action: exit}'] * 5)}]",
    f"{RETRY}.evaluateOnExit.0.onReason={'a' * 511}*",
    f"{RETRY}.evaluateOnExit.0.onExitCode=137",
    f"{ALIGN}.timeout.attemptDurationSeconds=60",
    f"{SAMPLES}.count=10000000",
    f"{SAMPLES}.failure={{rate: 1, exitCode: 255}}",
    f"{SAMPLES}.runtime={{uniform: {{low: 5m, high: 5m}}}}",
    f"{SAMPLES}.until=1d",
    f"{SAMPLES}.mix=[{{weight: 0.5, jobDefinition: align}}]",
]


@pytest.mark.parametrize("override", AT_THE_LIMIT, ids=[override[:60] for override in AT_THE_LIMIT])
def test_a_value_at_its_limit_is_accepted(genomics, problems_of, override):
    extra = ("workload.samples.jobDefinition=",) if ".mix=" in override else ()
    assert problems_of(genomics.read_text(), override, *extra) == []


def test_a_mix_may_bring_its_own_run_times(genomics, problems_of):
    text = genomics.read_text()
    shared = (f"{SAMPLES}.jobDefinition=", f"{SAMPLES}.runtime=")
    whole = f"{SAMPLES}.mix=[{{weight: 1, jobDefinition: align, runtime: 5m}}]"
    assert problems_of(text, *shared, whole) == []
    (line,) = problems_of(text, *shared, whole[:-1] + ", {weight: 2, jobDefinition: align}]")
    assert "expected a runtime, found nothing; mix item 1 has none of its own" in line


@pytest.mark.parametrize(
    ("section", "first", "item"),
    [
        ("computeEnvironments", "cloud", "{computeEnvironmentName: NAME, type: UNMANAGED}"),
        (
            "jobQueues",
            "bulk",
            "{jobQueueName: NAME, computeEnvironmentOrder: [{order: 1, computeEnvironment: cloud}]}",
        ),
    ],
)
def test_a_hundred_of_a_kind_and_no_more(problems_of, genomics, section, first, item):
    items = [item.replace("NAME", name) for name in (first, *(f"n{number}" for number in range(100)))]
    text = genomics.read_text()
    assert problems_of(text, f"{section}=[{', '.join(items[:100])}]") == []
    (line,) = problems_of(text, f"{section}=[{', '.join(items)}]")
    assert f"{section}: expected at most 100 entries, found a list of 101" in line


def test_null_is_not_given(genomics, problems_of):
    text = genomics.read_text()
    assert problems_of(text, "name=", "assumptions=", f"{CLOUD}.minvCpus=null", f"{ALIGN}.timeout=") == []
    assert problems_of(text, "workload=") == ["--set workload=: workload: the key 'workload' has no value"]
