"""batchsim/core/README.md tells the truth about the folder it stands in."""

from __future__ import annotations

import re

import pytest

import batchsim
from batchsim.core import commands, states
from batchsim.core.commands import START
from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.core.scheduler import UNBORN, Scheduler
from batchsim.drivers import simulated
from batchsim.drivers.compiled import compiled_modules
from tests.harness import PlanBuilder, machine
from tests.shipped.readme import ROOT

CORE = ROOT / "batchsim" / "core"
TEXT = (CORE / "README.md").read_text(encoding="utf-8")
EVENTS = {
    "job_submitted",
    "attempt_started",
    "attempt_exited",
    "instance_joined",
    "instance_ready",
    "instance_lost",
    "launch_failed",
    "job_cancelled",
    "job_terminated",
    "consumable_updated",
    "plan_updated",
}


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def examples():
    return re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_each_file_has_its_line():
    listed = re.findall(r"^\| `(\w+\.py)`", section("What stands where"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in CORE.glob("*.py") if path.name != "__init__.py")


def test_what_it_names_exists():
    for path in set(re.findall(r"`((?:tests|drivers|scenario|results)/[\w/]+(?:\.py)?)`", TEXT)):
        assert (ROOT / path).exists() or (ROOT / "batchsim" / path).exists(), path
    files = [
        *CORE.glob("*.py"),
        ROOT / "tests" / "harness.py",
        ROOT / "batchsim" / "scenario" / "assumptions.py",
    ]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = set(re.findall(r"`(?:[A-Z]\w+\.|commands\.)?(\w+)`", TEXT)) - {"now", "py"}
    assert len(names) > 20
    assert not [name for name in names if not re.search(rf"\b{name}\b", code)]


def test_the_picture_shows_the_events_and_commands():
    picture = section("The pipeline").split("```")[1]
    assert {name for name in EVENTS if name in picture} == EVENTS
    assert {
        name for name, member in vars(Scheduler).items() if callable(member) and not name.startswith("_")
    } == EVENTS | {"decide", "next_wakeup", "waiting_jobs", "waiting_reasons"}
    shown = set(re.findall(r"(\w+)\([\w, ]+\)", picture.split("what to do (imperative)")[1]))
    kinds = [
        commands.START,
        commands.START_NODES,
        commands.STOP,
        commands.FAIL,
        commands.LAUNCH,
        commands.TERMINATE,
        commands.EVICT,
    ]
    fields = {commands.LAUNCH: 3, commands.TERMINATE: 1, commands.EVICT: 1}
    words = {commands.describe((kind, *range(fields.get(kind, 2)))).split("(")[0] for kind in kinds}
    assert shown == words


def test_the_table_of_states_is_the_table():
    table = re.findall(r"^\| ([A-Z]+) \| ([A-Z, ]*)\|$", section("A job's states"), re.MULTILINE)
    names = states.STATE_NAMES
    assert [(name, [word for word in re.split(r"[, ]+", becomes) if word]) for name, becomes in table] == [
        (names[state], [names[after] for after in becomes]) for state, becomes in states.LEGAL.items()
    ]


class _Watched(bytearray):
    """States of jobs that may change only along the table."""

    seen: set[tuple[int, int]]

    def __setitem__(self, job, after):
        before = self[job]
        assert after in ((states.SUBMITTED,) if before == UNBORN else states.LEGAL[before])
        if before != UNBORN:
            self.seen.add((before, after))
        super().__setitem__(job, after)


class _WatchedScheduler(Scheduler):
    def __init__(self, plan):
        super().__init__(plan)
        self.state = _Watched(self.state)
        self.state.seen = set()
        self._attempts._columns.state = self._jobs._state = self.state


@pytest.mark.skipif(bool(compiled_modules()), reason="a compiled scheduler takes no other column of states")
def test_jobs_change_state_along_the_table_only(monkeypatch):
    made = []
    monkeypatch.setattr(simulated, "Scheduler", lambda plan: made.append(_WatchedScheduler(plan)) or made[-1])
    for name in ("quickstart", "own-machines", "stuck"):
        batchsim.run(batchsim.load_scenario(ROOT / "scenarios" / f"{name}.yaml"))
    seen = set().union(*(core.state.seen for core in made))
    assert seen >= {
        (states.SUBMITTED, states.RUNNABLE),
        (states.RUNNABLE, states.STARTING),
        (states.STARTING, states.RUNNING),
        (states.RUNNING, states.SUCCEEDED),
        (states.RUNNING, states.RUNNABLE),
    }


def test_the_first_example_answers_as_it_says():
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))])
    builder.job(0, 1, Need(1, 4, 0))
    *lines, last = examples()[0].strip().splitlines()
    scope = {"Scheduler": Scheduler, "plan": builder.plan()}
    exec("\n".join(lines), scope)  # noqa: S102 - the example is ours
    assert eval(last, scope) == [(START, 0, 0)]  # noqa: S307
    assert "[(START, 0, 0)]" in last


def test_the_example_of_a_test_passes_and_can_fail():
    (example,) = [each for each in examples() if "def test_" in each]
    scope: dict = {}
    exec(example, scope)  # noqa: S102 - the example is ours
    test = scope["test_head_of_line_blocks_those_who_would_fit"]
    test()
    wrong: dict = {}
    exec(example.replace("(2, 4, 1)", "(2, 2, 1)"), wrong)  # noqa: S102
    with pytest.raises(AssertionError):
        wrong["test_head_of_line_blocks_those_who_would_fit"]()
