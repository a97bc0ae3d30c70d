"""YAML and JSON text to data: what a scalar means, and what a hostile text may not do."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time

import pytest

from batchsim.errors import ScenarioError
from batchsim.scenario import load_scenario, parse_scenario
from batchsim.scenario.tree import read_tree


def data_of(text: str, *, must_be_json: bool = False):
    return read_tree(text, "f", must_be_json=must_be_json).data


def error_of(text: str, *, must_be_json: bool = False) -> str:
    with pytest.raises(ScenarioError) as caught:
        read_tree(text, "f", must_be_json=must_be_json)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


class TestCoreSchema:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("12:30", "12:30"),
            ("12:30:45", "12:30:45"),
            ("NO", "NO"),
            ("no", "no"),
            ("yes", "yes"),
            ("on", "on"),
            ("2024-13-45", "2024-13-45"),
            ("2024-01-02", "2024-01-02"),
            ("1_000", "1_000"),
            ("0b1", "0b1"),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            (".5", 0.5),
            ("1.", 1.0),
            ("-0.0", -0.0),
            ("+5", 5),
            ("012", 12),
            ("0o17", 15),
            ("0x1F", 31),
            ("-7", -7),
            ("true", True),
            ("False", False),
            ("null", None),
            ("~", None),
            ("''", ""),
            ("'5'", "5"),
            ('"true"', "true"),
            ("!!str 5", "5"),
            ('!!int "5"', 5),
            ("! 5", 5),
            ("999999999999999999", 999999999999999999),
            ("90s", "90s"),
            ("+", "+"),
            ("-", None),
            (".", "."),
            ("...x", "...x"),
        ],
    )
    def test_a_scalar(self, written, meant):
        value = data_of(f"[{written}]")[0] if written != "-" else data_of("a: ~")["a"]
        assert value == meant
        assert type(value) is type(meant)

    def test_an_absent_value_is_null(self):
        assert data_of("a:\nb: 1") == {"a": None, "b": 1}

    def test_keys_are_always_text(self):
        assert data_of("1: a\ntrue: b\n~: c\n1.50: d") == {"1": "a", "true": "b", "~": "c", "1.50": "d"}

    def test_block_and_folded_text(self):
        assert data_of("a: |\n  x\n  y\nb: >-\n  x\n  y\n") == {"a": "x\ny\n", "b": "x y"}

    def test_byte_order_mark_and_carriage_returns(self):
        assert data_of("\ufeffa: 1\r\nb: [\r\n 2]\r\n") == {"a": 1, "b": [2]}

    def test_aliases_repeat_a_value(self):
        assert data_of("a: &x {b: 1}\nc: [*x, *x]") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}

    def test_an_anchor_may_be_used_again(self):
        assert data_of("a: &x 1\nb: *x\nc: &x 2\nd: *x") == {"a": 1, "b": 1, "c": 2, "d": 2}


class TestJson:
    def test_json_is_read_as_json(self):
        text = '{"a": [1, 1E3, -0, "\\u00e9\\/", true, null],\t"b": {}, "c": "\\ud83d\\ude00"}'
        for must in (True, False):
            assert data_of(text, must_be_json=must) == json.loads(text)

    def test_a_file_that_calls_itself_json_must_be(self):
        assert data_of("{a: 1}") == {"a": 1}
        assert error_of("{a: 1}", must_be_json=True).startswith("f:1:2: this is not JSON")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1,\n "a": 2}', "f:2:2: the key 'a' stands twice; the first is in line 1"),
            ('{"a": [1,\n  NaN]}', "f:2:3: NaN is not a finite number"),
            ('{"a": -Infinity}', "f:1:7: -Infinity is not a finite number"),
            ('{"a": 1e999}', "f:1:7: this number is not finite"),
            ('{"a": ' + "1" * 5000 + "}", "f:1:7: this integer has more than 18 digits"),
            ('{"a": "\\ud800"}', "f:1:7: this text holds half of a character"),
            ("[" * 2000, "f:1:33: lists and mappings nest deeper than 32 levels"),
            ('{"a": 1}}', "f:1:9: this is not JSON: Extra data"),
            ("", "f:1:1: this is not JSON"),
        ],
    )
    def test_the_same_limits_hold(self, text, said):
        assert error_of(text, must_be_json=True).startswith(said)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "f: there is nothing in it"),
            ("# only a comment", "f: there is nothing in it"),
            ("a: 1\nb: 2\na: 3", "f:3:1: the key 'a' stands twice; the first is in line 1"),
            ("a: .nan", "f:1:4: .nan is not a finite number"),
            ("a: [1, -.inf]", "f:1:8: -.inf is not a finite number"),
            ("a: 1e400", "f:1:4: this number is not finite"),
            ("a: " + "1" * 5000, "f:1:4: this integer has more than 18 digits"),
            ("a: 0x" + "f" * 5000, "f:1:4: this integer has more than 18 digits"),
            ("a: 1." + "1" * 5000, "f:1:4: this number has more than 64 characters"),
            ("a: &x [*x]", "f:1:8: *'x' would contain itself"),
            ("a: &x {b: [*x]}", "f:1:12: *'x' would contain itself"),
            ("a: *nowhere", "f:1:4: no &'nowhere' stands before this alias"),
            ("a: &x 1\n*x : 2", "f:2:1: a key must be text, not an alias"),
            ("[1, 2]: 3", "f:1:1: a key must be text, not a list or a mapping"),
            ("a: &x {b: 1}\nc: {<<: *x}", "f:2:5: merge keys (<<) are not part of YAML 1.2"),
            ("a: !!timestamp 2024-13-45", "f:1:4: the tag 'tag:yaml.org,2002:timestamp' has no meaning here"),
            ("a: !!python/object/apply:os.system [ls]", "f:1:4: the tag"),
            ("a: !!int x", "f:1:4: this is not what its tag says"),
            ("a: !!map [1]", "f:1:4: this is not what its tag says"),
            ("%YAML 1.1\n---\na: 1", "f:2:1: this text says it is not YAML 1.2"),
            ("a: 1\n---\nb: 2", "f:3:1: there is a second document"),
            ("a:\n\t- b", "f:2:1: this is not YAML: found character '\\t' that cannot start any token"),
            ("a: [1, 2", "f:1:9: this is not YAML: expected ',' or ']', but got '<stream end>'"),
            ('a: "b', "f:1:6: this is not YAML"),
            ("a: b: c", "f:1:5: this is not YAML: mapping values are not allowed here"),
            ('"a" "b"', "f:1:5: this is not YAML: expected '<document start>', but found '<scalar>'"),
            ("a: b\n\0c", "f:2:1: this is not YAML: the character U+0000 is not allowed"),
            ("a: \x1b[31m", "f:1:4: this is not YAML: the character U+001B is not allowed"),
            ('a: "\\ud800"', "f:1:4: this text holds half of a character"),
        ],
    )
    def test_one_line_with_the_place(self, text, said):
        assert error_of(text).startswith(said)


class TestLimits:
    def test_size(self):
        comment = "a: 1 #"
        fits = comment + "x" * (1_048_576 - len(comment))
        assert data_of(fits) == {"a": 1}
        assert "too large" in error_of(fits + "x")
        assert "too large" in error_of(comment + "é" * (1_048_576 // 2 - 2))

    def test_size_of_a_file_is_counted_before_it_is_read(self, tmp_path):
        path = tmp_path / "s.yaml"
        with path.open("wb") as stream:
            stream.truncate(10 * 2**30)  # a sparse file of 10 GiB
        started = time.process_time()
        with pytest.raises(ScenarioError, match="too large for a scenario: expected at most 1,048,576 bytes"):
            load_scenario(path)
        assert time.process_time() - started < 1

    @pytest.mark.parametrize(
        "nested",
        [
            lambda depth: "[" * depth + "]" * depth,
            lambda depth: "{a: " * depth + "}" * depth,
            lambda depth: "- " * depth + "x",
            lambda depth: "".join(f"{' ' * i}k:\n" for i in range(depth)),
            lambda depth: "[" * (depth - 1) + "{a: 1}" + "]" * (depth - 1),
            lambda depth: "a:\n- " + "- " * (depth - 2) + "x",
        ],
        ids=["lists", "maps", "block lists", "block maps", "mixed", "unindented list"],
    )
    def test_depth(self, nested):
        data_of(nested(32))
        assert "lists and mappings nest deeper than 32 levels" in error_of(nested(33))

    def test_depth_of_json(self):
        data_of("[" * 32 + "]" * 32, must_be_json=True)
        assert "deeper than 32" in error_of("[" * 33 + "]" * 33, must_be_json=True)

    def test_nodes(self):
        fits = json.dumps([1] * 99_999)
        assert len(data_of(fits)) == 99_999
        assert "more than 100,000 values" in error_of(json.dumps([1] * 100_000))

    def test_keys_are_nodes(self):
        assert len(data_of(json.dumps({f"k{i}": 1 for i in range(49_999)}))) == 49_999
        assert "more than 100,000 values" in error_of(json.dumps({f"k{i}": 1 for i in range(50_000)}))

    def test_aliases(self):
        assert len(data_of("a: &x 1\nb: [" + "*x, " * 100 + "]")["b"]) == 100
        assert "more than 100 aliases" in error_of("a: &x 1\nb: [" + "*x, " * 101 + "]")

    def test_aliases_count_as_what_they_stand_for(self):
        # The root, its two keys and two lists are 5 nodes; the anchored list is one more than its items.
        text = "a: &x [{items}]\nb: [{uses}]"
        items, uses = 998, 99
        written = 5 + items + uses * (items + 1)
        room = 100_000 - written
        fits = text.format(items=", ".join(["1"] * items), uses=", ".join(["*x"] * uses + ["1"] * room))
        assert len(data_of(fits)["b"]) == uses + room
        assert "with aliases written out" in error_of(fits.removesuffix("]") + ", 1]")

    def test_integers(self):
        assert data_of("[" + "9" * 18 + "]") == [10**18 - 1]
        assert "more than 18 digits" in error_of("[" + "9" * 19 + "]")


def test_places_are_those_of_keys_and_values():
    tree = read_tree("a: 1\nbc:\n  - x\n  - {d: [5,\n     6]}\n", "f")
    where = tree.place.parts["bc"].parts[1].parts["d"]
    assert (where.key_line, where.key_column, where.line, where.column) == (4, 6, 4, 9)
    assert (where.parts[1].line, where.parts[1].column) == (5, 6)


def test_json_has_the_same_places_as_yaml():
    data = {"a": [1, {"b": 'x\\"y', "c": [[], {}]}], "é": None}
    text = json.dumps(data, indent=2, ensure_ascii=False)
    assert read_tree(text, "f", must_be_json=True) == read_tree("---\n" + text, "f")._replace(
        place=read_tree(text, "f", must_be_json=True).place
    )
    shifted = read_tree("--- # so that it is read as YAML\n" + text, "f").place
    assert _lines(shifted, 1) == _lines(read_tree(text, "f", must_be_json=True).place, 0)


def _lines(place, shift):
    here = (place.line - shift, place.column, place.key_line - shift, place.key_column)
    return [here, {name: _lines(part, shift) for name, part in place.parts.items()}]


HOSTILE = """
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\\n"
    bomb += "".join(f"a{i}: &a{i} [" + ",".join([f"*a{i-1}"] * 10) + "]\\n" for i in range(1, 8))
    texts = {
        "bomb": bomb,
        "brackets": "[" * 2000,
        "closed": "[" * 2000 + "]" * 2000,
        "braces": "{a: " * 2000,
        "dashes": "- " * 2000,
        "json": '{"a":' * 100_000,
        "digits": "a: " + "1" * 5000,
        "twice": "batchsim: 1\\nbatchsim: 1",
        "nan": "a: .nan",
        "itself": "a: &x [*x]",
        "date": "a: !!timestamp 2024-13-45",
        "long key": "x" * 1000 + ": 1",
        "unknown keys": "".join(f"k{i}: 1\\n" for i in range(3000)),
        "large": "x" * 2_000_000,
    }
"""


def test_hostile_texts_cost_neither_seconds_nor_gigabytes():
    program = textwrap.dedent(HOSTILE) + textwrap.dedent(
        """
        import resource, time
        resource.setrlimit(resource.RLIMIT_DATA, (200 * 2**20, 200 * 2**20))
        from batchsim.errors import ScenarioError
        from batchsim.scenario import parse_scenario
        for name, text in texts.items():
            started = time.process_time()
            try:
                parse_scenario(text)
            except ScenarioError as error:
                said = str(error)
            seconds = time.process_time() - started
            assert seconds < 1, (name, seconds)
            assert len(said) < 400 and "\\n" not in said, said
            print(name, said, sep=": ")
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 14


def test_a_scenario_of_100_kb_loads_fast(genomics):
    entry = (
        "  - {{name: w{}, jobQueue: bulk, jobDefinition: align, arrivals: {{times: [1s, 2s]}}, runtime: 9m}}"
    )
    entries = "\n".join(entry.format(number) for number in range(1100))
    text = genomics.read_text().replace("workload:   ", f"workload:\n{entries}\n  #")
    assert len(text) > 100_000
    started = time.process_time()
    scenario = parse_scenario(text)
    assert time.process_time() - started < 2  # about 0.4 s where nothing else runs
    assert len(scenario.workload) == 1102
