"""Real runs: they end as simulated, their logs are the scheduler's own, and nothing is left of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import docker
import pandas as pd
import pytest

import batchsim
from batchsim.drivers.cgroups import CgroupTree
from batchsim.drivers.gateway import ATTEMPT, DEADLINE, JOB, NODE, RUN
from batchsim.drivers.ownership import Owner
from batchsim.results import Result
from batchsim.scenario import parse_scenario
from batchsim.studies.replay import ReplayOptions, replay
from batchsim.studies.validation import validate
from tests.docker.conftest import labelled
from tests.docker.engine import IMAGE
from tests.shipped.readme import ROOT

pytestmark = pytest.mark.docker

CGROUPS = Path("/sys/fs/cgroup")
SHIPPED = ROOT / "scenarios" / "real-jobs.yaml"

SCENARIO = """
batchsim: 1
name: real
computeEnvironments:
  - computeEnvironmentName: own
    type: UNMANAGED
    instances: [{vcpus: 8, memory: 1GiB}]
jobQueues:
  - {jobQueueName: q, priority: 1, computeEnvironmentOrder: [{order: 1, computeEnvironment: own}]}
jobDefinitions:
  - jobDefinitionName: task
    type: container
    containerProperties: &small
      image: IMAGE
      resourceRequirements: [{type: VCPU, value: "1"}, {type: MEMORY, value: "16"}]
  - jobDefinitionName: endless
    type: container
    containerProperties: *small
    timeout: {attemptDurationSeconds: 60}
assumptions: {preset: ideal, schedulingInterval: 200ms}
workload:
""".replace("IMAGE", IMAGE)

DEFINITION = """
  - jobDefinitionName: {name}
    type: container
    parameters: {{greeting: hello}}
    containerProperties:
      image: {image}
      command: {command}
      environment: [{{name: COLOUR, value: blue}}]
      resourceRequirements: [{{type: VCPU, value: "1"}}, {{type: MEMORY, value: "16"}}]
"""

SAYS = """
test "$0" = hello && test $COLOUR = blue && test $AWS_BATCH_JOB_ID = says-0:$AWS_BATCH_JOB_ARRAY_INDEX &&
test $AWS_BATCH_JQ_NAME/$AWS_BATCH_CE_NAME/$AWS_BATCH_JOB_ATTEMPT/$AWS_BATCH_JOB_ARRAY_SIZE = q/own/1/2 &&
exit $AWS_BATCH_JOB_ARRAY_INDEX || exit 99
"""

CONFINED = """
test "$(id -u)" = 65534 && ! touch /x 2>/dev/null && touch /tmp/x && ! ip link | grep -q eth0 &&
grep -q "^CapEff:.0*$" /proc/self/status && grep -q "^NoNewPrivs:.1$" /proc/self/status
"""


def defined(name: str, *command: str, image: str = IMAGE) -> str:
    """The scenario with another job definition."""
    definition = DEFINITION.format(name=name, image=image, command=json.dumps(command))
    return SCENARIO.replace("\nassumptions:", definition + "assumptions:")


def jobs(name: str, count: int, runtime: str = "1s", more: str = "") -> str:
    return (
        f"  - {{name: {name}, jobQueue: q, jobDefinition: {name}, count: {count}, arrivals: {{atOnce: {{}}}},"
        f" runtime: {runtime}{more}}}\n"
    )


LONG = SCENARIO + jobs("task", 6, "1h")
STUBBORN = SCENARIO + jobs("task", 6, "1h", ", onSigterm: ignore")


def run(scenario, folder, **options) -> Result:
    if isinstance(scenario, str):
        scenario = parse_scenario(scenario)
    folder.mkdir(exist_ok=True)
    result, cut_short = replay(scenario, folder, ReplayOptions(oversubscribe=True, pull=False, **options))
    assert cut_short == ""
    result.write(folder)
    assert [str(each) for each in result.audit()] == []
    return result


@pytest.fixture
def start(tmp_path):
    """Run `batchsim replay` of a text as a process of its own, which does not outlive the test."""
    with ExitStack() as processes:

        def begin(text, *more):
            scenario = tmp_path / "scenario.yaml"
            scenario.write_text(text, encoding="utf-8")
            arguments = ["replay", str(scenario), "-o", str(tmp_path / "out"), "--oversubscribe", "--no-pull"]
            arguments += more
            process = subprocess.Popen(
                [sys.executable, "-m", "batchsim", *arguments],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield begin


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def running(engine) -> int:
    return len(engine.containers(filters={"label": [RUN], "status": "running"}))


def ending(result) -> tuple[str, str, str, object]:
    """How all jobs ended: state, status reason, reason without its text, exit code."""
    found = set()
    for row in result.jobs.to_dict("records"):
        reason = row["reason"].partition(":")[0] if isinstance(row["reason"], str) else ""
        code = None if pd.isna(row["exit_code"]) else int(row["exit_code"])
        found.add((str(row["state"]), row["status_reason"], reason, code))
    assert len(found) == 1, found
    return found.pop()


EXITED, UNSTARTED = "Essential container in task exited", "Task failed to start"


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        pytest.param(
            defined("it", "sh", "-c", "x=a; while :; do x=$x$x; done"),
            (EXITED, "OutOfMemoryError", 137),
            id="out-of-memory",
        ),
        pytest.param(defined("it", "sh", "-c", "exit 137"), (EXITED, "", 137), id="exit-137"),
        pytest.param(
            defined("it", "/no/such"), (UNSTARTED, "CannotStartContainerError", None), id="no-command"
        ),
        pytest.param(
            defined("it", "sh", image="batchsim.invalid/nothing:1"),
            (UNSTARTED, "CannotPullContainerError", None),
            id="no-image",
        ),
    ],
)
def test_each_kind_of_failure_is_classified_right(engine, tmp_path, scenario, expected):
    assert ending(run(scenario + jobs("it", 20), tmp_path / "out")) == ("FAILED", *expected)
    assert labelled(engine) == []


def test_jobs_beyond_their_time_limit_are_stopped(engine, tmp_path):
    result = run(SCENARIO + jobs("endless", 20, "1h"), tmp_path / "out", speed=20.0)
    assert ending(result) == ("FAILED", "Job attempt duration exceeded timeout", "", 143)
    ran = result.attempts["ended_s"] - result.attempts["started_s"]
    assert (ran >= 60).all()


def test_containers_get_their_command_parameters_and_variables(engine, tmp_path):
    scenario = defined("says", "sh", "-c", SAYS, "Ref::greeting") + jobs("says", 1, more=", array: {size: 2}")
    result = run(scenario, tmp_path / "out")
    codes = dict(zip(result.jobs["job"], result.jobs["exit_code"], strict=True))
    assert codes == {"says-0:0": 0, "says-0:1": 1}


def test_containers_may_do_little(engine, tmp_path):
    result = run(defined("confined", "sh", "-c", CONFINED) + jobs("confined", 1), tmp_path / "out")
    assert ending(result) == ("SUCCEEDED", EXITED, "", 0)


def test_the_shipped_scenario_ends_as_simulated_and_its_log_is_the_schedulers(engine, tmp_path):
    folder = tmp_path / "out"
    engine.tag(IMAGE, "busybox", "1")
    result = run(batchsim.load_scenario(SHIPPED), folder, speed=20.0, scalable=("hungry", "ring"))
    assert result.summary["jobs"] == 200
    found = validate(folder)
    assert found.first_difference is None
    for comparison in (found.measured, found.heard, found.planned):
        assert comparison.endings == []
    assert abs(found.measured.figures["makespan_s"].error) < 0.05
    # The median of waits lies in a gap between those who were first and those who were not, and jumps across
    # it when one job changes sides; so the mean is held to the bound, and the median of the jobs' own errors.
    assert abs(found.measured.figures["waiting_mean_s"].error) < 0.10
    assert found.measured.waiting.median_s < 0.10 * found.measured.figures["waiting_p50_s"].real
    assert found.heard.same_order > 0.999
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_kernel_holds_instances_to_their_size(engine, tmp_path, start):
    if engine.info()["CgroupDriver"] != "cgroupfs":
        pytest.skip("the engine leaves cgroups to systemd")
    process = start(LONG, "--cgroups")
    until(lambda: running(engine) == 6)
    limits = set()
    for container in engine.containers(filters={"label": [RUN]}):
        parent = engine.inspect_container(container["Id"])["HostConfig"]["CgroupParent"].lstrip("/")
        places = [each / parent for each in (CGROUPS / "memory", CGROUPS) if (each / parent).is_dir()]
        limits |= {
            int((place / name).read_text())
            for place in places
            for name in ("memory.limit_in_bytes", "memory.max")
            if (place / name).exists()
        }
    assert limits == {1 << 30}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert CgroupTree.runs() == []


@pytest.mark.parametrize(
    "case", [(LONG, 1, 5.0), (STUBBORN, 1, 15.0), (STUBBORN, 2, 3.0)], ids=["once", "stubborn", "twice"]
)
def test_an_interrupt_stops_all_containers_and_keeps_what_happened(engine, tmp_path, start, case):
    text, signals, seconds = case
    process = start(text)
    until(lambda: running(engine) == 6)
    for _ in range(signals):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
    until(lambda: labelled(engine) == [])
    assert time.monotonic() - sent < seconds
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: what had happened by then is in" in said
    assert set(Result.read(tmp_path / "out").jobs["state"]) == {"RUNNING"}


STOPPED = SCENARIO + jobs("endless", 6, "1h", ", onSigterm: ignore")
RING = ["--speed", "20", "--scalable", "hungry", "--scalable", "ring"]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((LONG, "job_submitted", ["--cgroups"]), id="submitted"),
        pytest.param((LONG, "commands", ["--cgroups"]), id="ordered"),
        pytest.param((LONG, "started", ["--cgroups"]), id="started"),
        pytest.param((SCENARIO + jobs("task", 30, "200ms"), "attempt_exited", []), id="ended"),
        pytest.param((STOPPED, "Stop(", ["--speed", "20"]), id="stopped"),
        pytest.param((SHIPPED.read_text(encoding="utf-8"), "StartNodes", RING), id="network"),
        pytest.param((SHIPPED.read_text(encoding="utf-8"), '"attempt_started","with":[0]', RING), id="ring"),
    ],
)
def test_a_run_that_is_killed_leaves_nothing(engine, tmp_path, start, case):
    text, line, more = case
    engine.tag(IMAGE, "busybox", "1")
    if engine.info()["CgroupDriver"] != "cgroupfs":
        more = [each for each in more if each != "--cgroups"]
    process = start(text, *more)
    log = tmp_path / "out" / "decisions.jsonl"
    until(lambda: log.exists() and line in log.read_text(encoding="utf-8"))
    process.kill()
    process.communicate()
    until(lambda: labelled(engine) == [] and CgroupTree.runs() == [])


def container(engine, run, deadline, name) -> str:
    labels = {RUN: run, JOB: "0", ATTEMPT: "1", NODE: "0", DEADLINE: str(int(deadline))}
    made = engine.create_container(
        IMAGE,
        ["sleep", "600"],
        name=name,
        labels=labels,
        host_config=engine.create_host_config(network_mode="none"),
    )
    engine.start(made["Id"])
    return made["Id"]


def test_reap_removes_only_what_is_provably_orphaned(engine):
    owner, later = Owner.this_process(), time.time() + 600
    gone = owner._replace(pid=2**22 - 1)
    elsewhere = owner._replace(boot="0" * 8)
    foreign = engine.create_container(IMAGE, ["sleep", "600"], name="batchsim-test-foreign")["Id"]
    names = {
        "batchsim-orphan": (gone.run_name(0), later),
        "batchsim-overdue": (elsewhere.run_name(0), time.time() - 10),
        "batchsim-alive": (owner.run_name(0), later),
        "batchsim-elsewhere": (elsewhere.run_name(1), later),
        "batchsim-not-ours": ("somebody", time.time() - 10),
    }
    for name, (run_name, deadline) in names.items():
        container(engine, run_name, deadline, name)
    engine.create_network("batchsim-orphan-net", labels={RUN: gone.run_name(0)})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "batchsim", "reap", "--format", "json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        outcome = {each["name"]: each["outcome"] for each in json.loads(done.stdout)}
        assert outcome == {
            "batchsim-orphan": "removed",
            "batchsim-orphan-net": "removed",
            "batchsim-overdue": "removed",
            "batchsim-alive": "left alone",
            "batchsim-elsewhere": "left alone",
            "batchsim-not-ours": "left alone",
        }
        assert labelled(engine) == ["batchsim-alive", "batchsim-elsewhere", "batchsim-not-ours"]
        assert engine.inspect_container(foreign)["State"]["Status"] == "created"
    finally:
        for name in (*names, foreign):
            with suppress(docker.errors.NotFound):
                engine.remove_container(name, force=True)


def test_an_engine_that_does_not_answer_is_said_so(tmp_path):
    scenario, folder = ROOT / "scenarios" / "real-jobs.yaml", tmp_path / "out"
    arguments = ["replay", str(scenario), "-o", str(folder), "--host", f"unix://{tmp_path}/none.sock"]
    done = subprocess.run(
        [sys.executable, "-m", "batchsim", *arguments, "--speed", "20", "--scalable", "hungry"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no container engine answers" in done.stderr
    assert "Traceback" not in done.stderr
