"""What an error says: where, what was expected, what was found, what was probably meant."""

from __future__ import annotations

import pytest

from batchsim.errors import InputError, ScenarioError
from batchsim.scenario import ScenarioProblems, load_scenario, parse_scenario

TEXT = """\
batchsim: 1
computeEnvironments:
  - computeEnvironmentName: lab
    type: UNMANAGED
    instances:
      - vcpus: 100
        memori: 1TiB
jobQueues:
  - {jobQueueName: q, priority: high, computeEnvironmentOrder: [{order: 1, computeEnvironment: lob}]}
workload:
  - name: w
    jobQueue: q
    trace: {format: swf}
"""


def place(text: str, needle: str) -> str:
    """`line:column` of the last occurrence of the needle."""
    before = text[: text.rindex(needle)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_all_problems_come_at_once_in_the_order_of_the_file(problems_of):
    machine = "computeEnvironments.lab.instances.0"
    assert problems_of(TEXT) == [
        f"s.yaml:{place(TEXT, 'memori')}: {machine}.memori: unknown key; did you mean memory?",
        f"s.yaml:{place(TEXT, 'high')}: jobQueues.q.priority: expected a whole number, found 'high'",
        f"s.yaml:{place(TEXT, '{format')}: workload.w.trace: the key 'path' is missing",
    ]


def test_the_parts_of_a_problem_can_be_asked_for():
    with pytest.raises(ScenarioProblems) as caught:
        parse_scenario(TEXT, file="s.yaml")
    first, (second, _) = caught.value, caught.value.others
    assert isinstance(first, InputError)
    assert (first.file, first.line, first.column) == ("s.yaml", 7, 9)
    assert first.path == "computeEnvironments.lab.instances.0.memori"
    assert first.hint == "did you mean memory?"
    assert (second.expected, second.found) == ("a whole number", "'high'")


def test_cross_checks_come_when_the_parts_are_right(problems_of):
    right = TEXT.replace("memori", "memory").replace("high", "3").replace("swf}", "swf, path: x}")
    (line,) = problems_of(right)
    assert line == (
        f"s.yaml:{place(right, 'lob')}: jobQueues.q.computeEnvironmentOrder.lob.computeEnvironment: "
        "expected the name of a compute environment, found 'lob'; did you mean lab?"
    )


def test_a_missing_section_is_at_the_start(problems_of):
    lines = problems_of("name: x\n")
    assert lines == [
        f"s.yaml:1:1: the key '{key}' is missing" for key in ("batchsim", "jobQueues", "workload")
    ]


def test_there_is_somewhere_to_run(kth, problems_of):
    text = kth.read_text()
    without = text[: text.index("computeEnvironments")] + text[text.index("jobQueues") :]
    (line,) = problems_of(without)
    assert line == "s.yaml:1:1: expected at least 1 entries in computeEnvironments, found nothing"


@pytest.mark.parametrize("text", ["3", "[1, 2]", "text", "~"])
def test_a_scenario_is_a_mapping(problems_of, text):
    (line,) = problems_of(text)
    assert line.startswith("s.yaml:1:1: expected a mapping (keys and values), found ")


def test_a_value_of_an_alias_is_found_where_it_is_written(kth, problems_of):
    text = kth.read_text().replace("instances: [{", "instances: [*m, &m {")
    assert problems_of(text) == [f"s.yaml:{place(text, '*m')}: no &'m' stands before this alias"]
    text = kth.read_text().replace("count: 1,", "count: none,").replace("instances: [{", "instances: [&m {")
    text = text.replace("usdPerHour: 0}]", "usdPerHour: 0}, *m]")
    at, said = place(text, "none"), "count: expected a whole number, found 'none'"
    assert problems_of(text) == [
        f"s.yaml:{at}: computeEnvironments.cluster.instances.{index}.{said}" for index in (0, 1)
    ]


def test_items_with_the_same_name_are_told_apart_by_position(genomics, problems_of):
    (line,) = problems_of(
        genomics.read_text(),
        "jobQueues.1.jobQueueName=urgent",
        "workload.0.jobQueue=urgent",
        "workload.1.jobQueue=urgent",
    )
    assert "jobQueues.1.jobQueueName: this name is already taken" in line


def test_keys_and_values_are_never_shown_at_length(problems_of):
    text = f'{"k" * 500}: 1\nname: {"n" * 500}\nregion: "\\e[31m\\n"\n'
    lines = problems_of(text)
    assert all(len(line) < 350 for line in lines)
    assert all(line.isprintable() for line in lines)


def test_an_unprintable_key_is_shown_escaped(problems_of):
    lines = problems_of('"a\\e[31m": 1\n')
    assert any("a\\x1b[31m: unknown key" in line for line in lines)


def test_at_most_fifty_problems_are_reported(kth, problems_of):
    text = kth.read_text() + "".join(f"k{i}: 1\n" for i in range(1000))
    assert len(problems_of(text)) == 50


def test_one_bad_entry_is_one_problem(kth, problems_of):
    assert len(problems_of(kth.read_text(), "workload.kth.trace.limit=0")) == 1
    assert len(problems_of(kth.read_text(), "workload=[3]")) == 1


def test_a_wrong_preset_does_not_make_each_assumption_wrong(kth, problems_of):
    text = kth.read_text().replace("preset: ideal", "preset: perfect")
    (line,) = problems_of(text)
    assert line.startswith(
        f"s.yaml:{place(text, 'perfect')}: assumptions.preset: expected 'aws', 'measured' or 'ideal',"
        " found 'perfect'"
    )


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda _: None, "cannot read this file: No such file or directory"),
        (lambda path: path.mkdir(), "cannot read this file: Is a directory"),
        (lambda path: path.write_bytes(b"a: 1\nb: \xff\n"), "2: this file is not UTF-8 text"),
        (lambda path: path.write_bytes(b"\xff\xfea\x00"), "1: this file is not UTF-8 text"),
        (lambda path: path.write_bytes(b""), "there is nothing in it"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, prepare, said):
    path = tmp_path / "s.yaml"
    prepare(path)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_path_with_a_nul_is_an_ordinary_error():
    with pytest.raises(ScenarioError, match="cannot read this file"):
        load_scenario("a\0b")


def test_a_scenario_tells_where_its_values_stand(genomics):
    scenario = load_scenario(genomics, ["workload.samples.count=7"])
    line, column = map(int, place(genomics.read_text(), "r6i").split(":"))
    assert scenario.origin("computeEnvironments", 0, "computeResources", "instanceTypes", 2) == {
        "file": str(genomics),
        "line": line,
        "column": column,
        "path": "computeEnvironments.cloud.computeResources.instanceTypes.2",
    }
    assert scenario.origin("workload", 0, "count") == {
        "file": "--set workload.samples.count=7",
        "path": "workload.samples.count",
    }
    # A value that was left out stands where the mapping does that could have it.
    nearest = scenario.origin("workload", 1, "trace", "limit")
    assert f"{nearest['line']}:{nearest['column']}" == place(genomics.read_text(), "{format")


def test_what_is_missing_or_beyond_a_bound_is_told_with_the_shortest_form(problems_of):
    text = """\
batchsim: 1
name: n
workload: [{name: j, jobQueue: q, jobDefinition: d}]
commitments: {savingsPlan: {commitment: 2, discount: 28}}
"""
    told = "\n".join(problems_of(text))
    assert "the key 'arrivals' is missing; the shortest is arrivals: {atOnce: {}}" in told
    assert "discount: expected a value below 1, found 28" in told
