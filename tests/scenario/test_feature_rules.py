"""Each rule of jobs, queues and policies, broken once, and what is just within it."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("all_built")

PREPARE, ANALYSE, SIMULATE = "workload.prepare", "workload.analyse", "workload.simulate"
ALIGN, PAIR, POD, MPI = (f"jobDefinitions.{name}" for name in ("align", "pair", "pod", "mpi"))
MAIN, FAIR, KUBE, TRAIN, GPUS = (f"jobQueues.{name}" for name in ("main", "fair", "kube", "train", "gpus"))
LIMIT = f"{MAIN}.jobStateTimeLimitActions.0"
LABS = "schedulingPolicies.labs.fairsharePolicy"
TASK = f"{PAIR}.ecsProperties.taskProperties.0.containers"
MAIN_CONTAINER = f"{POD}.eksProperties.podProperties.containers.main.resources"
NODES = f"{MPI}.nodeProperties"
RANGES = f"{NODES}.nodeRangeProperties"
CPU_ONLY = "{limits: {cpu: 1}}"


def rules(number: int) -> str:
    return f"{{attempts: 2, evaluateOnExit: [{', '.join(['{action: EXIT}'] * number)}]}}"


def rule(field: str, pattern: str) -> str:
    return f"{{attempts: 2, evaluateOnExit: [{{{field}: '{pattern}', action: RETRY}}]}}"


def groups(*names: str) -> str:
    return "[" + ", ".join(f"{{group: {name}}}" for name in names) + "]"


def consumables(*names: str) -> str:
    items = ", ".join(f"{{consumableResource: {name}, quantity: 1}}" for name in names)
    return f"{{consumableResourceList: [{items}]}}"


def node_range(target: str, more: str = "") -> str:
    return f"{{targetNodes: '{target}', container: {{image: i, vcpus: 1, memory: 4{more}}}}}"


def nodes(number: int, main: int, *ranges: str) -> str:
    return f"{NODES}={{numNodes: {number}, mainNode: {main}, nodeRangeProperties: [{', '.join(ranges)}]}}"


def containers(number: int) -> str:
    needs = "[{type: VCPU, value: 1}, {type: MEMORY, value: 4}]"
    items = ", ".join(f"{{name: c{n}, image: i, resourceRequirements: {needs}}}" for n in range(number))
    return f"{TASK}=[{items}]"


def pod(field: str, number: int) -> str:
    items = ", ".join(f"{{name: c{n}, image: i, resources: {CPU_ONLY}}}" for n in range(number))
    return f"{POD}.eksProperties.podProperties.{field}=[{items}]"


BROKEN = [
    # attempts [spec 1.3-1.7]
    (
        f"{ALIGN}.retryStrategy={rules(7)}",
        "evaluateOnExit: expected at most 6 entries, found a list of 7; let one rule stand for several",
    ),
    (
        f"{ALIGN}.retryStrategy={rule('onReason', '*Memory*')}",
        "found '*Memory*'; a pattern is compared from the first character on",
    ),
    (
        f"{ALIGN}.retryStrategy={rule('onReason', 'Out*Memory')}",
        "write 'Out*', which matches all that begins so",
    ),
    (f"{ALIGN}.retryStrategy={rule('onExitCode', '1-3')}", "found '1-3'; write '1*', which matches all"),
    (f"{ALIGN}.retryStrategy={rule('onReason', '')}", "1 to 512 characters, found ''; leave it out"),
    (f"{ALIGN}.retryStrategy={{evaluateOnExit: [{{action: EXIT}}]}}", "found nothing; add attempts: 1 to 10"),
    (f"{ALIGN}.retryStrategy=3", "expected a mapping (keys and values), found 3; its keys are attempts,"),
    (f"{PREPARE}.timeout=60", "found 60; write {attemptDurationSeconds: 60}"),
    (f"{PREPARE}.timeout.attemptDurationSeconds=10m", "found '10m'; write the seconds: 600"),
    (f"{PREPARE}.timeout.attemptDurationSeconds=59", "expected a value of at least 60, found 59"),
    # outcomes
    (f"{PREPARE}.exitCodes=[256]", "exitCodes.0: expected a value of at most 255, found 256"),
    (f"{PREPARE}.exitCodes=[]", "exitCodes: expected at least 1 entries"),
    (f"{PREPARE}.failure.rate=0.1", "failure: the exitCodes already say which attempts fail"),
    (
        f"{PREPARE}.reasons=[a, b, c, d]",
        "reasons: expected no more reasons than exitCodes, found a list of 4",
    ),
    (
        f"{PREPARE}.startFailures.reason=OutOfDisk",
        "expected 'CannotPullContainerError' or 'DockerTimeoutError'",
    ),
    (
        f"{PREPARE}.onSigterm=ignor",
        "onSigterm: expected exit, ignore or a mapping such as {exit: 0, after: 5s}, found 'ignor'; did",
    ),
    (f"{PREPARE}.onSigterm={{exit: 300}}", "onSigterm.exit: expected a value of at most 255, found 300"),
    # arrays [spec 1.10]
    (
        f"{PREPARE}.array.size=1",
        "array.size: expected 2 to 10,000 children, found 1; without array it is a plain job",
    ),
    (
        f"{PREPARE}.array.size=10001",
        "array.size: expected 2 to 10,000 children, found 10001; count submits as many arrays",
    ),
    (f"{PREPARE}.array=3", "array: expected a mapping (keys and values), found 3; write {size: 3}"),
    (f"{PREPARE}.arrayProperties.size=3", "arrayProperties: array already says the size"),
    (f"{SIMULATE}.array.size=3", "array: arrays of multi-node jobs are not modelled"),
    # dependencies [spec 1.9]
    (
        f"{PREPARE}.dependsOn={groups(*(f'g{n}' for n in range(21)))}",
        "dependsOn: expected at most 20 entries, found a list of 21; put the jobs it waits for into",
    ),
    (
        f"{PREPARE}.dependsOn={groups('task')}",
        "expected the name of a workload entry, found 'task'; did you mean tasks?",
    ),
    (f"{PREPARE}.dependsOn={groups('tasks', 'tasks')}", "dependsOn.1: this stands twice"),
    (f"{PREPARE}.dependsOn=[{{type: N_TO_N}}]", "dependsOn.0: expected the name of a workload entry"),
    (f"{PREPARE}.dependsOn=[{{}}]", "dependsOn.0: expected the name of a workload entry"),
    (f"{PREPARE}.dependsOn=[{{type: SEQUENTIAL, group: tasks}}]", "group: SEQUENTIAL orders the children"),
    (
        "workload.tasks.dependsOn=[{type: SEQUENTIAL}]",
        "SEQUENTIAL is between the children of arrays: expected an array",
    ),
    ("workload.tasks.dependsOn=[{type: N_TO_N, group: prepare}]", "N_TO_N is between the children of arrays"),
    (f"{PREPARE}.dependsOn=[{{type: N_TO_N, group: tasks}}]", "this is of 3, the other no array"),
    (
        f"{ANALYSE}.arrayProperties.size=4",
        "dependsOn.0.type: N_TO_N is between arrays of one size: this is of 4, the other an array of 3",
    ),
    (
        f"{PREPARE}.dependsOn={groups('prepare')}",
        "prepare.dependsOn: these wait for each other: prepare → prepare",
    ),
    (f"{SIMULATE}.dependsOn={groups('analyse')}", "these wait for each other: analyse → simulate → analyse"),
    # multi-node jobs [spec 1.11]
    (nodes(2, 2, node_range("0:")), "mainNode: expected a node below numNodes = 2, found 2"),
    (nodes(1001, 0, node_range("0:")), "numNodes: expected a value of at most 1000, found 1001"),
    (nodes(0, 0, node_range("0:")), "numNodes: expected a value of at least 1, found 0"),
    (nodes(4, 0, node_range("0:1"), node_range("3:")), "nodeRangeProperties: no node range holds node 2"),
    (nodes(4, 0, node_range("0:4")), "targetNodes: expected nodes below numNodes = 4, found '0:4'"),
    (nodes(4, 0, node_range("0:2"), node_range("1:3")), "targetNodes: the ranges 0:2 and 1:3 cross"),
    (nodes(4, 0, node_range("0:"), node_range("0:")), "targetNodes: the range 0: stands twice"),
    (nodes(4, 0, node_range("2:1")), "expected a range of nodes whose end is not before its beginning"),
    (nodes(4, 0, node_range("a:b")), "expected a range of nodes such as '0:3', ':3' or '4:', found 'a:b'"),
    (
        nodes(6, 0, *(node_range(f"{n}:") for n in range(6))),
        "nodeRangeProperties: expected at most 5 entries, found a list of 6",
    ),
    (f"{RANGES}.0.instanceTypes=[c5.large, m5.large]", "instanceTypes: expected at most 1 entries"),
    (f"{RANGES}.1.instanceTypes=[m5.large]", "expected one instance type for all nodes, such as c5.xlarge"),
    (
        f"{RANGES}.1.container.instanceType=m5.large",
        "container.instanceType: expected one instance type for all",
    ),
    (f"{RANGES}.1.container=", "there is none of them: expected exactly one of container, ecsProperties"),
    (
        f"{MPI}.containerProperties={{image: i, vcpus: 1, memory: 4}}",
        "does not belong to a job definition of type",
    ),
    (f"{ALIGN}.type=multinode", "containerProperties does not belong to a job definition of type multinode"),
    (
        f"{MPI}.consumableResourceProperties={consumables('licences')}",
        "names consumable resources in its node",
    ),
    (f"{ALIGN}.containerProperties.instanceType=c5.large", "instanceType is for multi-node jobs only"),
    (
        f"{SIMULATE}.nodeOverrides.numNodes=1",
        "numNodes: expected more nodes than the 1 before the open range",
    ),
    (
        f"{SIMULATE}.nodeOverrides.nodePropertyOverrides.0.targetNodes='0:'",
        "expected a node range of the job definition",
    ),
    (
        f"{SIMULATE}.nodeOverrides.nodePropertyOverrides.0.instanceTypes=[m5.large]",
        "0.instanceTypes.0: expected one instance type for all nodes, such as c5.xlarge, found 'm5.large'",
    ),
    (
        f"{SIMULATE}.nodeOverrides.nodePropertyOverrides.0.ecsPropertiesOverride={{taskProperties: [{{}}]}}",
        "ecsPropertiesOverride: these nodes have no ecsProperties; use containerOverrides",
    ),
    (
        f"{SIMULATE}.nodeRuntimes.x=5m",
        "nodeRuntimes.x: expected a range of nodes such as '0:3', ':3' or '4:', found 'x'",
    ),
    (f"{SIMULATE}.nodeRuntimes.3=5m", "nodeRuntimes.3: '3' is not among the 3 nodes"),
    (f"{SIMULATE}.nodeRuntimes={{'0:1': 5m, '1:2': 6m}}", "nodeRuntimes.1:2: the ranges 0:1 and 1:2 cross"),
    (f"{PREPARE}.nodeRuntimes={{'0': 5m}}", "nodeRuntimes: the jobs of align have one node"),
    (
        f"{PREPARE}.nodeOverrides.numNodes=2",
        "the job definition align has no nodeProperties; use containerOverrides",
    ),
    (
        f"{SIMULATE}.containerOverrides.vcpus=2",
        "the job definition mpi has no containerProperties; use nodeOverrides",
    ),
    (f"{PREPARE}.containerOverrides.instanceType=c5.large", "instanceType is for multi-node jobs only"),
    ("workload.dag.jobDefinition=mpi", "jobDefinition: the jobs of a trace have one node"),
    (
        f"{SIMULATE}.consumableResourcePropertiesOverride={consumables('licences')}",
        "override them in nodeOverrides.nodePropertyOverrides",
    ),
    # EKS [spec 1.12]
    (
        f"{MAIN_CONTAINER}.requests.cpu='1.8'",
        "cpu: expected a multiple of 0.25 CPUs from 0.25 on, such as '1.75'",
    ),
    (f"{MAIN_CONTAINER}.requests.cpu=100m", "found '100m'; AWS Batch takes no thousandths (m)"),
    (f"{MAIN_CONTAINER}.requests.cpu=0", "cpu: expected a multiple of 0.25"),
    (f"{MAIN_CONTAINER}.requests.cpu=2.25", "requests.cpu: expected at most the cpu in limits, found 2.25"),
    (f"{MAIN_CONTAINER}.requests.memory=2048MiB", "memory: expected whole MiB from 4Mi on, such as '2048Mi'"),
    (f"{MAIN_CONTAINER}.requests.memory=2Gi", "memory: expected whole MiB from 4Mi on"),
    (f"{MAIN_CONTAINER}.requests.memory=3Mi", "memory: expected whole MiB from 4Mi on"),
    (
        f"{MAIN_CONTAINER}.requests.memory=1024Mi",
        "requests.memory: the memory requested and its limit must be equal",
    ),
    (
        f"{MAIN_CONTAINER}.requests={{nvidia.com/gpu: 2}}",
        "requests.nvidia.com/gpu: the nvidia.com/gpu requested and",
    ),
    (f"{MAIN_CONTAINER}.limits.nvidia.com/gpu=0.5", "nvidia.com/gpu: expected a whole number, found 0.5"),
    (
        f"{POD}.eksProperties={{podProperties: {{containers: [{{image: i, resources: {CPU_ONLY}}}]}}}}",
        "containers: expected a memory request in at least one container",
    ),
    (
        f"{POD}.eksProperties.podProperties.containers.main.name=",
        "expected a name for each of several containers",
    ),
    (f"{POD}.eksProperties.podProperties.containers.main.name=side", "name: this name is already taken"),
    (f"{POD}.eksProperties.podProperties.containers.main.name=fetch", "name: this name is already taken"),
    (
        "workload.pods.eksPropertiesOverride.podProperties.containers.0.name=sid",
        "expected the name of a container of the job definition, found 'sid'; did you mean side?",
    ),
    (
        "workload.pods.eksPropertiesOverride.podProperties.containers=[{image: j}]",
        "expected the name of a container of the job definition, found nothing",
    ),
    ("workload.pods.containerOverrides.vcpus=1", "has no containerProperties; use eksPropertiesOverride"),
    (
        "workload.pods.jobQueue=main",
        "jobs: expected a job definition for ECS, found 'pod'; choose from align, pair, mpi, coupled",
    ),
    (
        f"{POD}.containerOrchestrationType=ECS",
        "containerOrchestrationType: expected 'EKS' or nothing, found 'ECS'",
    ),
    (
        "computeEnvironments.pods.computeResources.allocationStrategy=",
        "expected an allocationStrategy in an EKS environment",
    ),
    (
        "computeEnvironments.pods.computeResources.allocationStrategy=BEST_FIT",
        "allocationStrategy: an EKS environment cannot use BEST_FIT; use BEST_FIT_PROGRESSIVE",
    ),
    ("computeEnvironments.pods.containerOrchestrationType=ECS", "eksConfiguration does not belong to ECS"),
    ("computeEnvironments.lab.containerOrchestrationType=EKS", "type: an EKS environment is MANAGED"),
    (pod("containers", 11), "containers: expected at most 10 entries, found a list of 11"),
    (pod("initContainers", 11), "initContainers: expected at most 10 entries, found a list of 11"),
    # multi-container jobs [spec 1.13]
    (containers(11), "containers: expected at most 10 entries, found a list of 11"),
    (
        f"{TASK}=[{{image: i, essential: false, resourceRequirements: []}}]",
        "expected at least one essential container",
    ),
    (
        f"{TASK}=[{{image: i, resourceRequirements: [{{type: VCPU, value: 1}}]}}]",
        "expected a MEMORY requirement in at",
    ),
    (
        f"{TASK}.app.dependsOn.0.containerName=ini",
        "expected the name of a container of this task, found 'ini'; did",
    ),
    (
        f"{TASK}.log.dependsOn.0.condition=SUCCESS",
        "SUCCESS cannot wait for 'app', which is essential; wait for its START",
    ),
    (f"{TASK}.log.dependsOn.0.condition=COMPLETE", "COMPLETE cannot wait for 'app', which is essential"),
    (
        f"{TASK}.init.dependsOn=[{{containerName: log, condition: START}}]",
        "containers wait for each other: init → log",
    ),
    (f"{TASK}.log.name=init", "name: this name is already taken"),
    (f"{TASK}.log.name=", "expected a name for each of several containers"),
    (f"{PAIR}.ecsProperties.taskProperties=[]", "taskProperties: expected at least 1 entries"),
    (
        f"{PAIR}.containerProperties={{image: i, vcpus: 1, memory: 4}}",
        "there is containerProperties and ecsProperties",
    ),
    (
        "workload.tasks.ecsPropertiesOverride.taskProperties.0.containers.0.name=ap",
        "expected the name of a container of the job definition, found 'ap'; did you mean app?",
    ),
    (
        "workload.tasks.containerRuntimes.lo=5m",
        "containerRuntimes.lo: no container of these jobs is called lo; did you",
    ),
    # consumable resources [spec 1.15]
    (
        f"{ALIGN}.consumableResourceProperties={consumables(*'abcdef')}",
        "expected at most 5 entries, found a list of 6",
    ),
    (
        f"{ALIGN}.consumableResourceProperties={consumables('credits', 'credits')}",
        "credits is required twice; require the sum once",
    ),
    (
        f"{ALIGN}.consumableResourceProperties={consumables('license')}",
        "found 'license'; did you mean licences?",
    ),
    (
        f"{RANGES}.1.consumableResourceProperties={consumables('license')}",
        "found 'license'; did you mean licences?",
    ),
    (
        f"{PREPARE}.consumableResourcePropertiesOverride={consumables('license')}",
        "found 'license'; did you mean licences?",
    ),
    (
        "consumableResources.credits.totalQuantity=-1",
        "totalQuantity: expected a value of at least 0, found -1",
    ),
    ("consumableResources.credits.resourceType=REUSABLE", "expected 'REPLENISHABLE' or 'NON_REPLENISHABLE'"),
    # events [spec 1.8, 1.15]
    (
        "workload.10.cancel=nobody",
        "cancel: expected a workload entry (name), one of its jobs (name-17) or an array",
    ),
    ("workload.10.cancel='prepare-2:2'", "cancel: prepare has 2 jobs, numbered from 0"),
    ("workload.10.cancel='prepare-1:3'", "cancel: the jobs of prepare are arrays of 3, numbered from 0"),
    ("workload.11.terminate='simulate-1:0'", "terminate: the jobs of simulate are no arrays"),
    ("workload.11.terminate='simulate:0'", "terminate: expected a workload entry (name)"),
    ("workload.11.terminate='a b'", "terminate: expected a workload entry (name), one of its jobs (name-17)"),
    (f"workload.11.reason={'a' * 1025}", "reason: expected at most 1024 characters"),
    (
        "workload.12.updateConsumableResource=x",
        "updateConsumableResource: expected the name of a consumable resource",
    ),
    ("workload.12.operation=PUT", "operation: expected 'SET', 'ADD' or 'REMOVE', found 'PUT'"),
    ("workload.12.at=", "workload.12.at: the key 'at' has no value"),
    # service jobs and quota shares [spec 1.16, 2.5]
    (
        "workload.fits.resourceConfig.instanceType=m5.large",
        "expected an instance type of SageMaker such as ml.m5.large",
    ),
    (
        "workload.fits.jobQueue=main",
        "this queue takes no jobs of this kind: expected a queue of service environments",
    ),
    (
        "workload.tasks.jobQueue=train",
        "this queue takes no jobs of this kind: expected a queue of compute environments",
    ),
    ("workload.fits.retryStrategy={evaluateOnExit: []}", "retryStrategy: the key 'attempts' is missing"),
    ("workload.fits.quotaShareName=red", "quotaShareName: train has no quota shares; remove it"),
    (
        "workload.tunes.quotaShareName=reed",
        "expected the name of a quota share of the queue, found 'reed'; did you mean red?",
    ),
    ("workload.tunes.quotaShareName=", "expected the name of a quota share of the queue, found nothing"),
    (
        "workload.tunes.shareIdentifier=a",
        "gpus has no fair-share policy, so its jobs have no shareIdentifier",
    ),
    (
        f"{TRAIN}.serviceEnvironmentOrder.0.serviceEnvironment=trainin",
        "found 'trainin'; did you mean training?",
    ),
    (f"{TRAIN}.serviceEnvironmentOrder=[]", "expected at least 1 entries in serviceEnvironmentOrder"),
    (
        f"{TRAIN}.serviceEnvironmentOrder=[{', '.join(['{order: 1, serviceEnvironment: a}'] * 2)}]",
        "serviceEnvironmentOrder: expected at most 1 entries, found a list of 2",
    ),
    (
        f"{TRAIN}.computeEnvironmentOrder=[{{order: 1, computeEnvironment: cloud}}]",
        "computeEnvironmentOrder does not belong to a queue of type SAGEMAKER_TRAINING",
    ),
    (
        f"{MAIN}.serviceEnvironmentOrder=[{{order: 1, serviceEnvironment: training}}]",
        "serviceEnvironmentOrder does not belong to a queue of type ECS",
    ),
    (
        f"{TRAIN}.serviceEnvironmentOrder.0.serviceEnvironment=shared",
        "expected a service environment with limits in NUM",
    ),
    (
        f"{GPUS}.serviceEnvironmentOrder.0.serviceEnvironment=training",
        "expected a service environment with limits by",
    ),
    (
        "serviceEnvironments.shared.capacityLimits.0.capacityUnit=ml.g5.xlarge",
        "ml.g5.xlarge has a limit already",
    ),
    ("serviceEnvironments.shared.capacityLimits.0.capacityUnit=NUM_INSTANCES", "a total stands alone"),
    (
        "quotaShares.blue.capacityLimits=[{maxCapacity: 1}]",
        "as capacityUnit, found nothing; a share has a limit for each type",
    ),
    (
        "quotaShares.blue.jobQueue=train",
        "a queue whose scheduling policy has a quotaSharePolicy, found 'train'; choose from gpus",
    ),
    ("quotaShares.blue.jobQueue=gpu", "expected the name of a job queue, found 'gpu'; did you mean gpus?"),
    ("quotaShares.blue.jobQueue=", "there is none of them: expected exactly one of jobQueue and jobQueueArn"),
    (
        "quotaShares.red.resourceSharingConfiguration.borrowLimit=-2",
        "borrowLimit: expected a value of at least -1",
    ),
    (
        "quotaShares.red.resourceSharingConfiguration.strategy=LEND",
        "borrowLimit: a share that does LEND borrows nothing",
    ),
    (
        f"quotaShares.red.capacityLimits=[{', '.join(['{capacityUnit: ml.a.b, maxCapacity: 1}'] * 6)}]",
        "capacityLimits: expected at most 5 entries, found a list of 6",
    ),
    ("quotaShares.red.state=DISABLED", "quotaShareName: a DISABLED quota share accepts no jobs"),
    # time limits [spec 1.17]
    (f"{LIMIT}.maxTimeSeconds=599", "maxTimeSeconds: expected a value of at least 600, found 599"),
    (f"{LIMIT}.maxTimeSeconds=86401", "maxTimeSeconds: expected a value of at most 86400, found 86401"),
    (f"{LIMIT}.state=RUNNING", "state: expected 'RUNNABLE', found 'RUNNING'"),
    (f"{LIMIT}.action=TERMINATE", "action: expected CANCEL in a queue of this type, found 'TERMINATE'"),
    (
        f"{TRAIN}.jobStateTimeLimitActions.0.action=CANCEL",
        "action: expected TERMINATE in a queue of this type",
    ),
    (f"{LIMIT}.reason=too slow", "reason: Invalid job reason: expected a reason that AWS Batch detects"),
    (
        f"{LIMIT}.reason=MISCONFIGURATION:JOB_RESOURCE_REQUIREMENTS",
        "did you mean MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT?",
    ),
    (
        f"{LIMIT}.reason=MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE",
        "reason: expected a reason of a queue of this type",
    ),
    # queues [spec 2.1]
    # fair share [spec 2.4]
    (
        f"{FAIR}.schedulingPolicyArn=lab",
        "expected the name of a scheduling policy, found 'lab'; did you mean labs?",
    ),
    (
        f"{ANALYSE}.shareIdentifier=",
        "fair is a fair-share queue: expected a shareIdentifier, found nothing; add shareIdentifier: NAME",
    ),
    (f"{ANALYSE}.shareIdentifier=5", "weights: {identifier: weight}, found 5; put it in quotes"),
    (
        f"{PREPARE}.shareIdentifier=bio1",
        "shareIdentifier: main has no fair-share policy, so its jobs have no",
    ),
    (f"{ANALYSE}.shareIdentifier=bio_1", "shareIdentifier: expected letters and digits, found 'bio_1'"),
    (f"{ANALYSE}.shareIdentifier={'a' * 256}", "shareIdentifier: expected at most 255 characters"),
    (
        f"{ANALYSE}.shareIdentifier={{}}",
        "shareIdentifier: expected at least 1 entries, found an empty mapping",
    ),
    (f"{ANALYSE}.shareIdentifier={{a: 0}}", "shareIdentifier.a: expected a value above 0, found 0"),
    (f"{ANALYSE}.schedulingPriorityOverride=10000", "expected a value of at most 9999, found 10000"),
    (f"{ALIGN}.schedulingPriority=-1", "schedulingPriority: expected a value of at least 0, found -1"),
    (
        f"{LABS}.shareDecaySeconds=604801",
        "shareDecaySeconds: expected a value of at most 604800, found 604801",
    ),
    (f"{LABS}.computeReservation=100", "computeReservation: expected a value of at most 99, found 100"),
    (
        f"{LABS}.shareDistribution.chem.weightFactor=0.00009",
        "weightFactor: expected a value of at least 0.0001",
    ),
    (
        f"{LABS}.shareDistribution.chem.weightFactor=1000",
        "weightFactor: expected a value of at most 999.9999",
    ),
    (f"{LABS}.shareDistribution.chem.shareIdentifier='bio1'", "shareIdentifier: bio1 overlaps bio*"),
    (f"{LABS}.shareDistribution.chem.shareIdentifier='b*'", "shareIdentifier: b* overlaps bio*"),
    (f"{LABS}.shareDistribution.chem.shareIdentifier='bio'", "shareIdentifier: bio overlaps bio*"),
    (
        f"{LABS}.shareDistribution.chem.shareIdentifier='a*b'",
        "expected letters and digits, at least one of them, with at most one * at",
    ),
    (
        f"{LABS}.shareDistribution.chem.shareIdentifier='*'",
        "expected letters and digits, at least one of them, with at most one * at",
    ),
    (
        "schedulingPolicies.labs.quotaSharePolicy={}",
        "a policy is of fair shares or of quota shares, not both",
    ),
    # traces
    ("workload.dag.trace.limit=5", "limit: a trace of format wfformat has no limit"),
    ("workload.dag.trace.from=5", "from: a trace of format wfformat has no from"),
    ("workload.dag.trace.format=swf", "start: a trace of format swf has no start"),
    # assumptions
    ("assumptions.evaluateOnExitLimit=7", "evaluateOnExitLimit: expected 5 or 6, found 7"),
    ("assumptions.submitJobRate=-1/s", "submitJobRate: expected a rate of 0 or more"),
    ("assumptions.wildcardSplit=1", "wildcardSplit: expected true or false, found 1"),
]


@pytest.mark.parametrize(("override", "said"), BROKEN, ids=[override[:70] for override, _ in BROKEN])
def test_a_broken_rule_gives_one_clear_line(everything_text, problems_of, override, said):
    lines = problems_of(everything_text, override)
    assert len(lines) == 1, lines
    assert said in lines[0]


WITH_MORE_TO_FOLLOW = [
    (f"{ALIGN}.nodeProperties.numNodes=1", "nodeProperties: the key 'mainNode' is missing"),
    (
        "consumableResources.0.consumableResourceName=credits",
        "consumableResourceName: this name is already taken",
    ),
    ("quotaShares.0.quotaShareName=blue", "quotaShareName: this name is already taken"),
    ("schedulingPolicies.0.name=quotas", "schedulingPolicies.1.name: this name is already taken"),
    (f"{MAIN}.jobQueueType=EKS", "this environment is for ECS jobs: expected an environment for EKS jobs"),
    (
        f"{MAIN}.computeEnvironmentOrder.lab.computeEnvironment=pods",
        "this environment is for ECS jobs: expected an",
    ),
    (f"{FAIR}.schedulingPolicyArn=quotas", "quota shares belong to queues of type SAGEMAKER_TRAINING"),
]


@pytest.mark.parametrize(("override", "said"), WITH_MORE_TO_FOLLOW)
def test_a_broken_rule_may_break_others(everything_text, problems_of, override, said):
    lines = problems_of(everything_text, override)
    assert len(lines) > 1
    assert sum(said in line for line in lines) in (1, 2)


AT_THE_LIMIT = [
    f"{ALIGN}.retryStrategy={rules(6)}",
    f"{PREPARE}.exitCodes={[1] * 10}",
    f"{PREPARE}.onSigterm=exit",
    "workload.tasks.array.size=2",
    "workload.tasks.array.size=10000",
    f"{PREPARE}.dependsOn={groups('tasks', 'pods')}",
    f"{SIMULATE}.nodeOverrides.numNodes=1000",
    f"{SIMULATE}.nodeOverrides.numNodes=3",
    f"{MAIN_CONTAINER}.requests.cpu='0.25'",
    f"{MAIN_CONTAINER}.requests.cpu=1",
    f"{MAIN_CONTAINER}.requests={{}}",
    containers(10).replace("c0", "init", 1).replace("c1", "log", 1).replace("c2", "app", 1),
    f"{TASK}.app.dependsOn.0.condition=COMPLETE",
    f"{ALIGN}.consumableResourceProperties={consumables('licences', 'credits')}",
    "workload.10.cancel=prepare",
    "workload.10.cancel='prepare-1'",
    "workload.10.cancel='dag-12345'",
    "workload.11.terminate=fits-5",
    f"{LIMIT}.maxTimeSeconds=600",
    f"{LIMIT}.maxTimeSeconds=86400",
    f"{ANALYSE}.shareIdentifier={'a' * 255}",
    f"{ANALYSE}.shareIdentifier=bio1",
    f"{ANALYSE}.schedulingPriorityOverride=0",
    f"{LABS}.shareDecaySeconds=604800",
    f"{LABS}.computeReservation=99",
    f"{LABS}.shareDistribution.chem.weightFactor=0.0001",
    f"{LABS}.shareDistribution.chem.weightFactor=999.9999",
    f"{LABS}.shareDistribution.chem.shareIdentifier='bi'",
    "schedulingPolicies.labs.fairsharePolicy=",
    f"{KUBE}.jobQueueType=",
    f"{SIMULATE}.containerRuntimes={{}}",
    "serviceEnvironments.training.capacityLimits=[{maxCapacity: 0}]",
    "quotaShares.red.resourceSharingConfiguration={strategy: RESERVE}",
]


@pytest.mark.parametrize("override", AT_THE_LIMIT)
def test_a_value_at_the_limit_is_accepted(everything_text, problems_of, override):
    assert problems_of(everything_text, override) == []


@pytest.mark.parametrize(
    "override",
    [
        nodes(1000, 999, node_range(":")),
        nodes(1, 0, node_range("0")),
        nodes(11, 0, node_range("0:10"), node_range("4:5"), node_range("1:")),
        nodes(5, 0, *(node_range(f"{n}:") for n in range(5))),
        nodes(2, 0, node_range("0", ", instanceType: c5.large"), node_range("1")),
    ],
)
def test_node_ranges_at_the_limit_are_accepted(everything_text, problems_of, override):
    plain = (f"{SIMULATE}.nodeOverrides=", f"{SIMULATE}.nodeRuntimes=")
    assert problems_of(everything_text, override, *plain) == []


def test_twenty_dependencies_are_accepted_and_twenty_one_refused(everything_text, problems_of):
    """[spec 9.2: 15]"""
    entry = (
        "{name: %s, jobQueue: main, jobDefinition: align, count: 1, arrivals: {atOnce: {}}, runtime: 1s%s}"
    )
    names = [f"g{number}" for number in range(21)]
    for wanted, problems in ((20, 0), (21, 1)):
        items = [entry % (name, "") for name in names]
        items.append(entry % ("last", f", dependsOn: {groups(*names[:wanted])}"))
        assert len(problems_of(everything_text, f"workload=[{', '.join(items)}]")) == problems


def test_a_sixth_rule_needs_the_assumption(everything_text, problems_of):
    for place in (ALIGN, PREPARE):
        (line,) = problems_of(
            everything_text, f"{place}.retryStrategy={rules(6)}", "assumptions.evaluateOnExitLimit=5"
        )
        assert "retryStrategy.evaluateOnExit: expected at most 5 entries, found a list of 6" in line
        assert "assumptions.evaluateOnExitLimit" in line


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ((0, ["0:0", "1:"], 3), None),
        ((5, ["0:0", "1:"], 3), "numNodes: expected more nodes than mainNode = 5, found 3"),
        ((5, ["0:0", "1:"], 5), "numNodes: expected more nodes than mainNode = 5, found 5"),
        ((5, ["0:0", "1:"], 6), None),
        (
            (0, ["0:9"], 3),
            "numNodes can be overridden only if a node range of the job definition is open-ended",
        ),
        ((0, ["0:5", "6:"], 6), "numNodes: expected more nodes than the 6 before the open range, found 6"),
        ((0, ["0:5", "6:"], 7), None),
        ((0, ["0:9", "3:"], 20), "numNodes: of 20 nodes, the ranges 0:9 and 3: cross"),
        ((0, ["0:", "2:4"], 3), None),
    ],
)
def test_when_the_number_of_nodes_may_be_overridden(everything_text, problems_of, case, problem):
    """[spec 1.11; 9.2: 23]"""
    main, ranges, wanted = case
    lines = problems_of(
        everything_text,
        nodes(10, main, *map(node_range, ranges)),
        f"{SIMULATE}.nodeOverrides={{numNodes: {wanted}}}",
        f"{SIMULATE}.nodeRuntimes=",
    )
    assert [problem in line for line in lines] == ([] if problem is None else [True])


def test_share_identifiers_are_mandatory_or_forbidden_by_the_queue(everything_text, problems_of):
    """[spec 9.2: 37], for replayed jobs as well."""
    text = everything_text
    (line,) = problems_of(text, "workload.dag.jobQueue=fair")
    assert "workload.dag: fair is a fair-share queue: expected a shareIdentifier" in line
    assert problems_of(text, "workload.dag.jobQueue=fair", "workload.dag.shareIdentifier=a") == []
    (line,) = problems_of(text, "workload.dag.shareIdentifier=a")
    assert "workload.dag.shareIdentifier: main has no fair-share policy" in line


@pytest.mark.parametrize("environment", ["lab"])
def test_a_multi_node_job_may_wait_for_ever(everything_text, problems_of, environment):
    """[spec 9.2: 24]: a queue that can never place it takes it all the same."""
    order = f"{MAIN}.computeEnvironmentOrder=[{{order: 1, computeEnvironment: {environment}}}]"
    assert problems_of(everything_text, order) == []


def test_one_queue_has_at_most_twenty_quota_shares(everything_text, problems_of):
    share = "{quotaShareName: s%d, jobQueue: gpus, capacityLimits: [{maxCapacity: 1, capacityUnit: ml.a.b}]}"
    for number in (20, 21):
        items = ", ".join(share % n for n in range(number))
        lines = problems_of(everything_text, f"quotaShares=[{items}]", "workload.tunes.quotaShareName=s0")
        assert len(lines) == number - 20


def test_a_service_environment_with_quota_shares_has_one_queue(everything_text, problems_of):
    """[UG: service_limits]"""
    data = json.loads(everything_text)
    queue = next(each for each in data["jobQueues"] if each["jobQueueName"] == "gpus")
    data["jobQueues"].append({**queue, "jobQueueName": "more"})
    (line,) = problems_of(json.dumps(data))
    assert "jobQueues.more.serviceEnvironmentOrder.shared.serviceEnvironment: shared serves another" in line
    queue = next(each for each in data["jobQueues"] if each["jobQueueName"] == "train")
    data["jobQueues"][-1] = {**queue, "jobQueueName": "more"}
    assert problems_of(json.dumps(data)) == []
