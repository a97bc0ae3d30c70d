from __future__ import annotations

import pytest

from batchsim.errors import ScenarioError
from batchsim.scenario import load_scenario, parse_scenario


def value_of(scenario, *location):
    value = scenario.to_dict()
    for part in location:
        value = value[part]
    return value


CLOUD = "computeEnvironments.cloud"
CLOUD_AT = ("computeEnvironments", 0)
LAB = "computeEnvironments.lab"
LAB_AT = ("computeEnvironments", 1)
ALIGN = "jobDefinitions.align"
ALIGN_AT = ("jobDefinitions", 0)
RESOURCES = f"{ALIGN}.containerProperties.resourceRequirements"
RESOURCES_AT = (*ALIGN_AT, "containerProperties", "resourceRequirements")
SAMPLES_AT = ("workload", 0)

SETTINGS = [
    ("name=other", ("name",), "other"),
    (" horizon =5d", ("horizon",), "432000s"),
    (f"{CLOUD}.computeResources.maxvCpus=64", (*CLOUD_AT, "computeResources", "maxvCpus"), 64),
    ("computeEnvironments.0.computeResources.maxvCpus=64", (*CLOUD_AT, "computeResources", "maxvCpus"), 64),
    (
        f"{CLOUD}.computeResources.instanceTypes.1=r5",
        (*CLOUD_AT, "computeResources", "instanceTypes", 1),
        "r5",
    ),
    (f"{LAB}.instances.m5.4xlarge.count=5", (*LAB_AT, "instances", 0, "count"), 5),
    (f"{LAB}.instances.1.memory=1TiB", (*LAB_AT, "instances", 1, "memory"), "1048576MiB"),
    (
        "jobQueues.bulk.computeEnvironmentOrder.cloud.order=3",
        ("jobQueues", 1, "computeEnvironmentOrder", 0, "order"),
        3,
    ),
    (f"{RESOURCES}.MEMORY.value=8GiB", (*RESOURCES_AT, 1, "value"), "8192"),
    (f"{RESOURCES}.0.value=2", (*RESOURCES_AT, 0, "value"), "2"),
    (
        f"{ALIGN}.retryStrategy.evaluateOnExit.0.action=exit",
        (*ALIGN_AT, "retryStrategy", "evaluateOnExit", 0, "action"),
        "EXIT",
    ),
    (f"{ALIGN}.containerProperties.image=a=b", (*ALIGN_AT, "containerProperties", "image"), "a=b"),
    ("workload.samples.runtime=12m", (*SAMPLES_AT, "runtime"), {"constant": "720s"}),
    (
        "workload.samples.runtime={uniform: {low: 1m, high: 2m}}",
        (*SAMPLES_AT, "runtime"),
        {"uniform": {"low": "60s", "high": "120s"}},
    ),
    (
        "workload.samples.timeout.attemptDurationSeconds=60",
        (*SAMPLES_AT, "timeout"),
        {"attemptDurationSeconds": 60},
    ),
    ("workload.history.trace.scaleArrivals=0.7", ("workload", 1, "trace", "scaleArrivals"), 0.7),
    ("workload.history.trace.from=1h", ("workload", 1, "trace", "from"), "3600s"),
    ("assumptions.schedulingInterval=0", ("assumptions", "schedulingInterval"), "0s"),
    ("assumptions.instanceLaunch.constant=5s", ("assumptions", "instanceLaunch"), {"constant": "5s"}),
]


@pytest.mark.parametrize(("override", "location", "value"), SETTINGS)
def test_a_value_is_set_and_a_missing_key_created(genomics, override, location, value):
    assert value_of(load_scenario(genomics, [override]), *location) == value


def test_the_rest_stays_as_it_was(genomics):
    before = load_scenario(genomics).to_dict()
    after = load_scenario(genomics, ["jobQueues.bulk.priority=5"]).to_dict()
    assert after["jobQueues"][1].pop("priority") == 5
    assert before["jobQueues"][1].pop("priority") == 1
    assert after == before


def test_null_takes_a_value_away(genomics):
    for override in ("jobDefinitions.align.timeout=", "jobDefinitions.align.timeout=null"):
        assert load_scenario(genomics, [override]).definition("align").timeout is None


def test_overrides_apply_in_order(genomics):
    overrides = ["name=a", "workload.samples.name=b", "workload.b.count=7", "name=c"]
    scenario = load_scenario(genomics, overrides)
    assert (scenario.name, scenario.workload[0].name, scenario.workload[0].count) == ("c", "b", 7)


def test_only_one_use_of_an_alias_is_changed(kth):
    text = kth.read_text().replace("instances: [{", "instances: [&m {")
    text = text.replace("usdPerHour: 0}]", "usdPerHour: 0}, *m]")
    scenario = parse_scenario(text, overrides=["computeEnvironments.cluster.instances.1.count=9"])
    machines = scenario.environment("cluster").instances
    assert [machine.count for machine in machines] == [1, 9]


def test_a_name_of_digits_is_a_position(kth):
    overrides = ["jobQueues.q.jobQueueName='0'", "workload.kth.jobQueue='0'", "jobQueues.0.priority=3"]
    assert load_scenario(kth, overrides).queue("0").priority == 3


WRONG = [
    ("nope", "--set nope: expected path=value; for example assumptions.preset=ideal"),
    ("", "--set : expected path=value"),
    ("=3", "--set =3: expected path=value"),
    ("a..b=3", "--set a..b=3: expected path=value"),
    ("workload.=3", "--set workload.=3: expected path=value"),
    (".".join(["a"] * 1000) + "=3", "expected path=value"),
    (
        f"{CLOUD[:-1]}t.state=DISABLED",
        "expected a position from 0 to 1 or a name, found 'clout'; did you mean cloud?",
    ),
    (
        "computeEnvironments.2.state=DISABLED",
        "{set}: computeEnvironments: expected a position from 0 to 1 or a name, found '2'; choose from",
    ),
    ("computeEnvironments.-1.state=DISABLED", "expected a position from 0 to 1 or a name, found '-1'"),
    (
        f"{CLOUD}.computeResources.instanceTypes.3=c5",
        f"{{set}}: {CLOUD}.computeResources.instanceTypes: expected a position from 0 to 2, found '3'",
    ),
    ("jobQueues=[]", "{set}: jobQueues: expected at least 1 entries, found an empty list"),
    ("name.first=x", "{set}: name is one value and has no 'first' in it"),
    ("name=[a", "{set}:1:3: this is not YAML: expected ',' or ']', but got '<stream end>'"),
    ("name=#a", "{set}: there is nothing in it"),
    ("horizon=.inf", "{set}:1:1: .inf is not a finite number"),
    (
        f"{CLOUD}.computeResources.maxvCpu=64",
        f"{{set}}: {CLOUD}.computeResources.maxvCpu: unknown key; did you mean maxvCpus?",
    ),
    ("assumption.backfill=greedy", "{set}: assumption: unknown key; did you mean assumptions?"),
    (
        "workload.samples.arrivals={poisson: {start: 5m}}",
        "{set}: workload.samples.arrivals.poisson: the key 'rate' is missing",
    ),
    (
        "jobQueues.bulk.computeEnvironmentOrder.0.computeEnvironment=x",
        "{set}: jobQueues.bulk.computeEnvironmentOrder.x.computeEnvironment: expected the name of a",
    ),
]


@pytest.mark.parametrize(("override", "said"), WRONG)
def test_an_override_that_is_wrong_is_named(genomics, override, said):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(genomics, [override])
    assert said.replace("{set}", f"--set {override}") in str(caught.value)
    assert getattr(caught.value, "others", ()) == ()


def test_a_key_created_by_an_override_is_the_overrides(kth, problems_of):
    definitions = "jobDefinitions=[{jobDefinitionName: d}]"
    of_type = " in a job definition of type container"
    assert problems_of(kth.read_text(), definitions, "horizon=x") == [
        f"--set {definitions}: jobDefinitions.d: expected containerProperties{of_type}, found nothing",
        "--set horizon=x: horizon: expected a duration such as '90s', '12m' or '1h30m', found 'x'",
    ]


def test_the_last_of_two_overrides_is_blamed(kth, problems_of):
    (line,) = problems_of(kth.read_text(), "assumptions.backfill=x", "assumptions={backfill: y}")
    assert line.startswith("--set assumptions={backfill: y}: assumptions.backfill:")


def test_errors_beside_an_override_keep_their_line(genomics, problems_of):
    text = genomics.read_text().replace("count: 500", "count: many")
    (line,) = problems_of(text, "workload.samples.imageSize=1GiB")
    assert line.startswith("s.yaml:24:66: workload.samples.count: expected a whole number, found 'many'")


def test_a_long_override_is_cut(kth, problems_of):
    (line,) = problems_of(kth.read_text(), "name=" + "é x" * 10_000)
    assert len(line) < 350
