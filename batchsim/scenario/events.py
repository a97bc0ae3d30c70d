"""Parser events: what stands in a YAML or JSON text, one piece after the other, with its position."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

from batchsim.errors import ScenarioError

from .limits import MAX_DEPTH


class Event(NamedTuple):
    """A piece of a text: a scalar, the start of a list or map, an end, or an alias.

    `text` is a scalar's content or an alias's name; `plain` says that it stood without quotes; line
    and column are 1-based.
    """

    kind: str
    text: str
    plain: bool
    tag: str | None
    anchor: str | None
    line: int
    column: int


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or array, to the letter."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        _check_json(text)
    except (ValueError, RecursionError):
        return False
    return True


_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s\[\]{},:"]+')
_QUOTED_TUPLE = re.compile(r"\(('[^']*'),\)")  # some of ruamel's messages print a one-tuple
_JSON_KINDS = {"{": "map", "[": "list", "}": "end", "]": "end"}


def _check_json(text: str) -> None:
    # Numbers are not converted: whether they can be is decided where their position is known.
    json.loads(text, parse_int=len, parse_float=len)


def json_events(text: str, file: str) -> Iterator[Event]:
    """The events of a JSON text."""
    try:
        _check_json(text)
    except json.JSONDecodeError as error:
        raise ScenarioError(
            f"this is not JSON: {error.msg}", file=file, line=error.lineno, column=error.colno
        ) from None
    except RecursionError:
        pass  # The reader of the events finds the place where it gets too deep.
    line, line_start, position = 1, 0, 0
    for match in _JSON_TOKEN.finditer(text):
        start = match.start()
        breaks = text.count("\n", position, start)
        if breaks:
            line += breaks
            line_start = text.rindex("\n", position, start) + 1
        position = start
        token, column = match.group(), start - line_start + 1
        if token in ("NaN", "Infinity", "-Infinity"):
            raise ScenarioError(f"{token} is not a finite number", file=file, line=line, column=column)
        kind = _JSON_KINDS.get(token, "scalar")
        quoted = token[0] == '"'
        yield Event(kind, json.loads(token) if quoted else token, not quoted, None, None, line, column)


class _TooDeepError(Exception):
    """Line and column where the text nests too deeply."""


class _ShallowScanner(Scanner):
    """Refuses depth while it looks ahead: a parser sees a `[` only when what follows has been scanned."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - ruamel's name
        self._check_depth(adding=1)
        super().fetch_flow_collection_start(TokenClass, to_push)

    def add_indent(self, column: int) -> bool:
        added = bool(super().add_indent(column))
        self._check_depth(adding=0)
        return added

    def _check_depth(self, adding: int) -> None:
        if len(self.flow_context) + len(self.indents) + adding > MAX_DEPTH:
            raise _TooDeepError(self.reader.line + 1, self.reader.column + 1)


def yaml_events(text: str, file: str) -> Iterator[Event]:
    """The events of a YAML text; ScenarioError where it is not YAML 1.2."""
    loader = YAML(typ="safe", pure=True)
    loader.Scanner = _ShallowScanner
    events = iter(loader.parse(text))
    while True:
        try:
            event = next(events)
        except StopIteration:
            return
        except _TooDeepError as error:
            line, column = error.args
            raise ScenarioError(
                f"lists and mappings nest deeper than {MAX_DEPTH} levels", file=file, line=line, column=column
            ) from None
        except (YAMLError, ValueError, RecursionError, OverflowError) as error:
            raise _not_yaml(error, text, file) from None
        translated = _translate(event, file)
        if translated is not None:
            yield translated


def _translate(event: Any, file: str) -> Event | None:
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    if isinstance(event, ScalarEvent):
        return Event("scalar", event.value, event.style is None, _tag(event), event.anchor, line, column)
    if isinstance(event, MappingStartEvent):
        return Event("map", "", False, _tag(event), event.anchor, line, column)
    if isinstance(event, SequenceStartEvent):
        return Event("list", "", False, _tag(event), event.anchor, line, column)
    if isinstance(event, CollectionEndEvent):
        return Event("end", "", False, None, None, line, column)
    if isinstance(event, AliasEvent):
        return Event("alias", event.anchor, False, None, None, line, column)
    if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
        raise ScenarioError("this text says it is not YAML 1.2", file=file, line=line, column=column)
    return None


def _tag(event: Any) -> str | None:
    return None if event.tag is None else str(event.tag)


def _not_yaml(error: Exception, text: str, file: str) -> ScenarioError:
    line = column = hint = None
    what = "it cannot be parsed"
    if isinstance(error, MarkedYAMLError):
        what = _QUOTED_TUPLE.sub(r"\1", error.problem or error.context or what)
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        if "\\t" in what:
            hint = "indent with spaces, not tabs"
    elif isinstance(error, ReaderError):
        what = f"the character U+{error.character:04X} is not allowed"
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
    elif isinstance(error, RecursionError):
        what = "it nests too deeply"
    return ScenarioError(f"this is not YAML: {what[:200]}", file=file, line=line, column=column, hint=hint)
