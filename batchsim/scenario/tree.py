"""Text of a scenario to plain data with positions, within limits a hostile file cannot pass.

YAML is read by the 1.2 core schema: `12:30`, `no` and `2024-13-45` are text, `1e3` is a number, and a
number is finite. JSON is read as JSON. The limits are counted on the parser's events, before anything
is built, so a file costs neither seconds nor gigabytes [reliability: limits].
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchsim.errors import ScenarioError

from .events import Event, is_json, json_events, yaml_events
from .limits import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_INTEGER_DIGITS, MAX_NODES, MAX_NUMBER_LENGTH

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAYBE_NUMBER = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAG_PREFIX = "tag:yaml.org,2002:"
_TAGGED = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None), "seq": list, "map": dict}


@dataclass(slots=True)
class Place:
    """Where a value stands: 1-based lines and columns of the value and, in a mapping, of its key."""

    line: int
    column: int
    key_line: int
    key_column: int
    parts: dict[str | int, "Place"] = field(default_factory=dict)


class Tree(NamedTuple):
    """Plain data (dict, list, str, int, float, bool, None) and the places of all its values."""

    data: Any
    place: Place


def read_tree(text: str, file: str, *, must_be_json: bool = False) -> Tree:
    """The data of a YAML 1.2 or JSON text; `file` is its name in errors.

    Raises ScenarioError, with line and column, for anything else, and where a limit is passed.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise too_large(file)
    text = text.removeprefix("\ufeff")
    events = json_events(text, file) if must_be_json or is_json(text) else yaml_events(text, file)
    return _Composer(file).compose(events)


def too_large(file: str) -> ScenarioError:
    """The error for a file above the size limit."""
    return ScenarioError(
        "this file is too large for a scenario",
        file=file,
        expected=f"at most {MAX_BYTES:,} bytes (1 MiB)",
        hint="describe many jobs by distributions or a trace file",
    )


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    data: Any
    place: Place
    anchor: str | None
    nodes_before: int
    key: Event | None = None


class _Composer:
    """Builds data from events; nothing is recursive, each limit is checked where it is passed."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Place, int]] = {}
        self._nodes = 0
        self._aliases = 0
        self._root: Tree | None = None

    def compose(self, events: Iterator[Event]) -> Tree:
        for event in events:
            if event.kind == "end":
                self._close()
            elif event.kind == "alias":
                self._alias(event)
            else:
                self._node(event)
        if self._root is None:
            raise ScenarioError("there is nothing in it", file=self._file)
        return self._root

    def _node(self, event: Event) -> None:
        self._count(1, event)
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.data, dict) and top.key is None:
            self._take_key(top, event)
            return
        data = resolve(event, self._file) if event.kind == "scalar" else self._container(event)
        place = self._attach(data, event)
        if event.kind == "scalar":
            if event.anchor is not None:
                self._anchors[event.anchor] = (data, place, 1)
            return
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open(data, place, event.anchor, self._nodes - 1))
        if len(self._open) > MAX_DEPTH:
            raise _error(self._file, event, f"lists and mappings nest deeper than {MAX_DEPTH} levels")

    def _container(self, event: Event) -> Any:
        data: Any = [] if event.kind == "list" else {}
        _check_tag(event, data, self._file)
        return data

    def _take_key(self, top: _Open, event: Event) -> None:
        if event.kind != "scalar":
            raise _error(self._file, event, "a key must be text, not a list or a mapping")
        if event.plain and event.text == "<<":
            raise _error(
                self._file,
                event,
                "merge keys (<<) are not part of YAML 1.2",
                "write the fields out, or alias a whole value",
            )
        if event.text in top.data:
            first = top.place.parts[event.text]
            raise _error(
                self._file,
                event,
                f"the key {_short(event.text)} stands twice; the first is in line {first.key_line}",
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = (
                event.text,
                Place(event.line, event.column, event.line, event.column),
                1,
            )
        top.key = event

    def _attach(self, data: Any, event: Event) -> Place:
        place = Place(event.line, event.column, event.line, event.column)
        if not self._open:
            if self._root is not None:
                raise _error(self._file, event, "there is a second document", "keep one scenario a file")
            self._root = Tree(data, place)
            return place
        top = self._open[-1]
        if isinstance(top.data, list):
            top.place.parts[len(top.data)] = place
            top.data.append(data)
        else:
            assert top.key is not None
            place.key_line, place.key_column = top.key.line, top.key.column
            top.place.parts[top.key.text] = place
            top.data[top.key.text] = data
            top.key = None
        return place

    def _close(self) -> None:
        done = self._open.pop()
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.data, done.place, self._nodes - done.nodes_before)

    def _alias(self, event: Event) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _error(self._file, event, f"there are more than {MAX_ALIASES} aliases")
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.data, dict) and top.key is None:
            raise _error(self._file, event, "a key must be text, not an alias")
        if any(each.anchor == event.text for each in self._open):
            raise _error(self._file, event, f"*{_short(event.text)} would contain itself")
        if event.text not in self._anchors:
            raise _error(self._file, event, f"no &{_short(event.text)} stands before this alias")
        data, place, nodes = self._anchors[event.text]
        self._count(nodes, event)
        self._attach(data, event).parts = place.parts

    def _count(self, nodes: int, event: Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _error(
                self._file,
                event,
                f"there are more than {MAX_NODES:,} values, with aliases written out",
                "describe many jobs by distributions or a trace file",
            )


def resolve(event: Event, file: str) -> Any:
    """The value of a scalar by the YAML 1.2 core schema; ScenarioError if it is no value we can use."""
    text = event.text
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _error(file, event, "this text holds half of a character (a lone surrogate)")
    tag = event.tag
    value: Any = text
    if (event.plain or tag is not None) and tag != _TAG_PREFIX + "str":
        if text in _CONSTANTS:
            value = _CONSTANTS[text]
        elif text[0] in _MAYBE_NUMBER:
            value = _number(event, file)
    _check_tag(event, value, file)
    return value


def _check_tag(event: Event, value: Any, file: str) -> None:
    tag = event.tag
    if tag is None or tag == "!":
        return
    kind = _TAGGED.get(tag.removeprefix(_TAG_PREFIX)) if tag.startswith(_TAG_PREFIX) else None
    if kind is None:
        raise _error(file, event, f"the tag {_short(tag)} has no meaning here", "remove it")
    if type(value) is not kind:
        raise _error(file, event, f"this is not what its tag says ({_short(tag)})", "remove the tag")


def _number(event: Event, file: str) -> Any:
    text = event.text
    if _INTEGER.fullmatch(text):
        if len(text.lstrip("+-0xo")) > MAX_INTEGER_DIGITS:
            raise _error(file, event, f"this integer has more than {MAX_INTEGER_DIGITS} digits")
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text):
        if len(text) > MAX_NUMBER_LENGTH:
            raise _error(file, event, f"this number has more than {MAX_NUMBER_LENGTH} characters")
        if abs(number := float(text)) == float("inf"):
            raise _error(file, event, "this number is not finite")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise _error(file, event, f"{text} is not a finite number")
    return text


def _error(file: str, event: Event, message: str, hint: str | None = None) -> ScenarioError:
    return ScenarioError(message, file=file, line=event.line, column=event.column, hint=hint)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
