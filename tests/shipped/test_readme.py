"""README.md says what is so: its commands, outputs, examples, tables, links and claims."""

from __future__ import annotations

import doctest
import json
import os
import re
import tomllib

import pytest

import batchsim
from batchsim.cli import verbs
from batchsim.errors import ScenarioError
from batchsim.results import COLUMNS
from batchsim.results.columns import FRAMES, OPTIONAL_FRAMES
from batchsim.scenario import json_schema
from tests.shipped import readme
from tests.shipped.readme import ROOT

TEXT = readme.README.read_text(encoding="utf-8")
SESSIONS = readme.sessions(TEXT)
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


# ----------------------------------------------------------------------------------------------- sessions


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each session's command prints, in the order of the page and in one folder."""
    folder = tmp_path_factory.mktemp("reader")
    return {session.command: readme.run(session.command, folder) for session in SESSIONS}


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.command)
def test_sessions_are_true(session, printed):
    said = printed[session.command][1]
    assert session.agrees_with(said), (
        f"README.md shows something else; if this is right, run `python tests/shipped/readme.py`:\n{said}"
    )


def test_the_page_shows_the_main_job_first_and_every_verb_it_explains():
    assert SESSIONS[0].command == "batchsim run scenarios/quickstart.yaml"
    assert "..." not in SESSIONS[0].shown
    assert {session.command.split()[1] for session in SESSIONS} == {
        "run",
        "compare",
        "check",
        "instances",
        "explain",
        "audit",
    }


@pytest.mark.parametrize(
    ("shown", "agrees"),
    [
        ("a  1\n────\nb 2\n", True),
        ("a 1\n...\nb 2\n", True),
        ("...\nb 2\n", True),
        ("a 1\n...\n", True),
        ("a 1\n─\n...\nb 2\n", True),
        ("a 1\nb 2\n", False),
        ("a 1\n─\nb 3\n", False),
        ("a 1\n...\n─\n", False),
        ("", False),
    ],
)
def test_a_session_agrees_with_what_it_shows_only(shown, agrees):
    assert readme.Session("batchsim", shown, 0, 0).agrees_with("a 1\n──────────\nb 2\n") is agrees


def test_a_session_is_written_anew_line_by_line():
    printed = "a 9\nb 8\nc 7\n─────\nd 6\n"
    assert readme.Session("batchsim", "a 1\n", 0, 0).renewed(printed) == printed
    assert readme.Session("batchsim", "...\nb 1\n...\n─\nd 1\n", 0, 0).renewed(printed) == (
        "...\nb 8\n...\n─────\nd 6\n"
    )


# ----------------------------------------------------------------------------------------------- examples


@pytest.mark.parametrize("example", blocks("pycon"), ids=lambda example: example.split("\n")[0])
def test_python_examples_are_true(example, monkeypatch):
    monkeypatch.chdir(ROOT)
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", "README.md", 0)
    said: list[str] = []
    ran = doctest.DocTestRunner().run(test, out=said.append)
    assert ran.attempted > 1
    assert not ran.failed, "".join(said)


def test_the_scenario_example_runs():
    (example,) = blocks("yaml")
    result = batchsim.run(batchsim.parse_scenario(example, base=ROOT))
    assert result.summary["outcome"] == "finished"
    assert result.audit() == []
    assert set(result.jobs["group"]) == {"samples", "history"}
    assert {"cloud", "lab"} >= set(result.jobs["environment"])


# ------------------------------------------------------------------------------------------------- set-up


def test_two_commands_do_all_the_set_up():
    shell = "".join(blocks("sh")).splitlines()
    users, developers = [line for line in shell if line.startswith("python3 -m venv .venv && ")]
    assert users.endswith(" && .venv/bin/pip install . && .venv/bin/batchsim run scenarios/quickstart.yaml")
    assert developers.endswith(" && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or later" in section("Start")
    assert "batchsim" in project["scripts"]
    assert "test" in project["optional-dependencies"]


def test_the_build_runs_the_commands_of_this_page():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    for end in ("/pytest", "quickstart.yaml"):
        assert f"readme_command {end} " in text
    for command in ("ruff", "mypy"):
        assert f"/bin/{command}" in text
        assert re.search(rf"^{command}", "\n".join(blocks("sh")), re.MULTILINE)


# ------------------------------------------------------------------------------------------------- tables


def test_assumptions_are_those_of_the_program():
    assert readme.ASSUMPTIONS.search(TEXT)[2] == readme.assumptions(), "run python tests/shipped/readme.py"


def test_every_scenario_is_listed():
    listed = re.findall(r"\[([\w-]+\.yaml)\]\(scenarios/\1\)", section("Scenarios that are shipped"))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "scenarios").glob("*.yaml"))


def test_every_folder_of_the_package_is_listed():
    listed = re.findall(r"^\| `batchsim/(\w+)`", section("Development"), re.MULTILINE)
    assert sorted(listed) == sorted(
        path.name for path in (ROOT / "batchsim").iterdir() if any(path.glob("*.py"))
    )


def test_what_a_job_and_a_queue_can_do_is_told_with_names_that_exist():
    text = section("What a job and a queue can do")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", text, re.MULTILINE)[1:]
    assert len(rows) >= 15
    written, told = (re.findall(r"`([^`]+)`", " ".join(row[of] for row in rows)) for of in (1, 2))
    keys = {key for each in written for key in re.findall(r"(\w+): |^(\w+)$", each) for key in key if key}
    values = {"greedy"}
    assert {"dependsOn", "backfill", "jobStateTimeLimitActions"} < keys
    assert keys - values <= set(re.findall(r'"(\w+)"', json.dumps(json_schema())))
    results = {f"{each.frame}.{each.name}" for each in COLUMNS} | {*FRAMES, *OPTIONAL_FRAMES}
    assert {*told} - {"batchsim explain", "result.snapshot"} <= results


def test_exit_codes_are_those_of_the_program():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}
    assert listed == {0, verbs.FAILED, verbs.MISTAKEN, verbs.STALLED, verbs.INTERRUPTED}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("batchsim --version", 0),
        ("batchsim check scenarios/quickstart.yaml", 0),
        ("batchsim check scenarios/stuck.yaml", 1),
        ("batchsim run scenarios/stuck.yaml", 3),
        ("batchsim run scenarios/nowhere.yaml", 2),
        ("batchsim run scenarios/quickstart.yaml --set computeEnvironments.genomics.state=OFF", 2),
        ("batchsim fly", 2),
    ],
)
def test_exit_codes(command, code, tmp_path):
    ended, said = readme.run(command, tmp_path)
    assert ended == code, said
    assert "Traceback" not in said
    if code == 2 and "fly" not in command:
        assert len(said.splitlines()) == 1, said


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_claims_name_tests_that_exist():
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", section("Why believe it"))
    assert len(named) >= 10
    for path, test in named:
        assert f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"


def test_no_advice_deletes_what_others_compiled():
    """A clone holds the user's `.venv`, too."""
    assert re.findall(r"find (\S+) -name '\*\.so'", TEXT) == []


# ------------------------------------------------------------------------------------------- not modelled

PROVIDER = "{instanceLaunchTemplate: {capacityOptionType: RESERVED}}"
RESERVED = f"{{type: ECS_MANAGED_INSTANCES, maxvCpus: 9, managedInstancesProvider: {PROVIDER}}}"
SIZE = "[{type: VCPU, value: '1'}, {type: MEMORY, value: '2048'}]"
SYSTEM = "{operatingSystemFamily: WINDOWS_SERVER_2022_CORE}"
CONTAINER = f"{{image: i, runtimePlatform: {SYSTEM}, resourceRequirements: {SIZE}}}"
NOT_MODELLED = {
    "reserved capacity": f"computeEnvironments.genomics.computeResources={RESERVED}",
    "Windows": "jobDefinitions.0={jobDefinitionName: align, platformCapabilities: [FARGATE],"
    f" containerProperties: {CONTAINER}}}",
}


@pytest.mark.parametrize("feature", NOT_MODELLED)
def test_what_is_not_modelled_is_refused_and_said_to_be_so(feature):
    assert feature in section("What is not modelled yet")
    with pytest.raises(ScenarioError) as refused:
        batchsim.load_scenario(QUICKSTART, [NOT_MODELLED[feature]])
    assert re.search(
        r"not modelled by this version of batchsim|only Linux tasks are modelled", str(refused.value)
    )
