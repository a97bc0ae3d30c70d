"""A result's folder: its frames as Parquet or CSV, `summary.json` and `manifest.json`.

Writing: every file is written under a temporary name in the folder itself and flushed to the disk;
only then are all of them renamed, the manifest last. A folder with a manifest therefore holds a
complete result, whenever the writer died. Equal results give equal bytes.

CSV: a text cell that a spreadsheet would take for a formula gets an apostrophe in front, which reading
takes away again.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from batchsim.errors import ResultError, UsageError
from batchsim.results.arrays import SERVICE_STATES, STATES, category, nullable, strings
from batchsim.results.columns import (
    BOOL,
    CATEGORY,
    FLOAT,
    FRAMES,
    INTEGER,
    OPTIONAL_FRAMES,
    TEXT,
    Column,
    columns_of,
)
from batchsim.results.names import BESIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt

Format = Literal["parquet", "csv"]
FORMATS: tuple[Format, ...] = ("parquet", "csv")
MANIFEST = "manifest.json"
SUMMARY = "summary.json"


class Owner(NamedTuple):
    """Whose folder it is: of a study, or with "" of a run. No other files may be in it."""

    study: str
    files: frozenset[str]

    def owns(self, folder: Path) -> bool:
        """Whether an earlier result of the kind is there."""
        if not (folder / MANIFEST).is_file():
            return False
        manifest = _read_json(folder / MANIFEST)
        return "batchsim" in manifest and manifest.get("study", "") == self.study

    def is_temporary(self, name: str) -> bool:
        ours = (*self.files, *BESIDE)
        return name.startswith(tuple(f".{each}." for each in ours)) and name.endswith(".tmp")


RUN = Owner(
    "",
    frozenset(
        {
            MANIFEST,
            SUMMARY,
            *(f"{frame}.{suffix}" for frame in (*FRAMES, *OPTIONAL_FRAMES) for suffix in FORMATS),
        }
    ),
)
_FORMULA = r"^('*[=+\-@\t\r\n])"
_NEUTRALISED = r"^'('*[=+\-@\t\r\n])"


def write_folder(
    folder: str | Path,
    frames: Mapping[str, pd.DataFrame],
    summary: Mapping[str, Any],
    manifest: Mapping[str, Any],
    suffix: Format = "parquet",
) -> None:
    """Write a result; a result that is in the folder already is replaced, anything else refused.

    Raises ResultError when the folder cannot be made or written to, the disk is full, or the folder
    holds files that are not a result's.
    """
    target = Path(folder)
    if suffix not in FORMATS:
        raise UsageError(path="format", expected=" or ".join(FORMATS), found=repr(suffix))
    with _blaming(folder):
        _prepare(target, RUN, str(manifest["name"]))
        files: dict[str, Callable[[BinaryIO], None]] = {
            f"{name}.{suffix}": _frame_writer(frame, suffix) for name, frame in frames.items()
        }
        files[SUMMARY] = _json_writer(summary)
        files[MANIFEST] = _json_writer(manifest)
        _replace_all(target, files, RUN)


def write_study(
    folder: str | Path,
    owner: Owner,
    files: Mapping[str, pd.DataFrame | bytes | Mapping[str, Any]],
    manifest: Mapping[str, Any],
) -> None:
    """Write what a study of several runs has found: frames as CSV, mappings as JSON, bytes as they are.

    All of it or nothing, as `write_folder`; the manifest says in `study` whose folder it is.
    """
    assert owner.files == {*files, MANIFEST}
    assert manifest["study"] == owner.study
    with _blaming(folder):
        _prepare(Path(folder), owner, str(manifest["name"]))
        writers = {name: _writer(content) for name, content in files.items()}
        _replace_all(Path(folder), {**writers, MANIFEST: _json_writer(manifest)}, owner)


def write_beside(folder: str | Path, files: Mapping[str, bytes | Mapping[str, Any]]) -> None:
    """Write files of `names.BESIDE` into a result's folder, all of them or nothing; raises ResultError."""
    assert set(files) <= set(BESIDE)
    with _blaming(folder), _staged(Path(folder), {name: _writer(each) for name, each in files.items()}):
        pass


def _writer(content: pd.DataFrame | bytes | Mapping[str, Any]) -> Callable[[BinaryIO], None]:
    if isinstance(content, bytes):
        return lambda file: _write_bytes(file, content)
    return _frame_writer(content, "csv") if isinstance(content, pd.DataFrame) else _json_writer(content)


def read_folder(
    folder: str | Path,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any], dict[str, Any]]:
    """The frames, the summary and the manifest that `write_folder` wrote.

    Raises ResultError, naming the file, when one is missing, unreadable or has not the declared columns.
    """
    source = Path(folder)
    if not (source / MANIFEST).is_file():
        inside = sorted(path.parent for path in source.glob(f"*/{MANIFEST}") if _of_a_run(path.parent))
        raise ResultError(
            file=str(folder),
            expected=f"a result folder with {MANIFEST}",
            found="no such folder" if not source.is_dir() else "a folder without it",
            hint=f"give one that is in it, such as {inside[0]}"
            if inside
            else "batchsim run -o FOLDER writes one",
        )
    manifest = _read_json(source / MANIFEST)
    if manifest.get("study"):
        raise ResultError(
            file=str(folder),
            expected="the result of one run",
            found=f"what batchsim {manifest['study']} wrote, which keeps no jobs",
            hint="batchsim run -o FOLDER, with --set for a variant, writes one",
        )
    summary = _read_json(source / SUMMARY)
    names = [*FRAMES, *(name for name in OPTIONAL_FRAMES if _paths(source, name))]
    return {name: _read_frame(source, name) for name in names}, summary, manifest


def _of_a_run(folder: Path) -> bool:
    return (folder / SUMMARY).is_file() and bool(_paths(folder, "jobs"))


# --- writing ----------------------------------------------------------------------------------


def check_folder(folder: str | Path, name: str, owner: Owner | None = None) -> None:
    """Raise ResultError if a result of the scenario `name` could not be written to `folder`.

    An earlier result is replaced if it is of that scenario, and of no other. Leaves everything as it is:
    asked before a long run, so that it is not lost to a folder that was mistyped.
    """
    owner = owner or RUN
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ResultError(file=str(folder), expected="a folder to write to", found="a file")
    names = _names_in(target) if target.is_dir() else []
    foreign = [name for name in names if name not in (*owner.files, *BESIDE) and not owner.is_temporary(name)]
    if (foreign or MANIFEST in names) and not owner.owns(target):
        raise ResultError(
            file=str(folder),
            expected="a new folder, an empty one, or one with an earlier result",
            found=", ".join(foreign or names),
            hint="nothing was written",
        )
    if MANIFEST in names and (other := _read_json(target / MANIFEST).get("name")) != name:
        raise ResultError(
            file=str(folder),
            expected=f"a new folder, or one with an earlier result of {name}",
            found=f"a result of {other}",
            hint="give another folder or remove this one; nothing was written",
        )
    there = next(parent for parent in (target, *target.absolute().parents) if parent.exists())
    if problem := _obstacle(there):
        raise ResultError(
            file=str(folder),
            expected="a folder that can be written to",
            found=problem,
            hint="nothing was written",
        )


def _obstacle(there: Path) -> str:
    """Why no file can be made in a folder, or "". Rights do not tell: /proc takes none, whoever asks."""
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"no right to write in {there}"
    try:
        with TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there}, where no file can be made: {error.strerror}"


@contextmanager
def _blaming(folder: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResultError(
            f"cannot write the result: {error.strerror or error}",
            file=str(folder),
            hint="give a folder that can be written to, on a disk with room",
        ) from error


def _prepare(folder: Path, owner: Owner, name: str) -> None:
    check_folder(folder, name, owner)
    folder.mkdir(parents=True, exist_ok=True)
    for each in filter(owner.is_temporary, _names_in(folder)):
        (folder / each).unlink(missing_ok=True)


def _names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _temporary(name: str) -> str:
    return f".{name}.{os.getpid()}.tmp"


def _replace_all(folder: Path, files: Mapping[str, Callable[[BinaryIO], None]], owner: Owner) -> None:
    with _staged(folder, files):
        (folder / MANIFEST).unlink(missing_ok=True)
    for name in sorted(owner.files - files.keys()):
        (folder / name).unlink(missing_ok=True)
    _sync_folder(folder)


@contextmanager
def _staged(folder: Path, files: Mapping[str, Callable[[BinaryIO], None]]) -> Iterator[None]:
    """Inside, all files are on the disk under temporary names; at the end they are renamed in order."""
    try:
        for name, write in files.items():
            with (folder / _temporary(name)).open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        yield
        for name in files:
            (folder / _temporary(name)).replace(folder / name)
    finally:
        for name in files:
            (folder / _temporary(name)).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # only there can a folder be opened, and only there a rename needs it to be durable
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json_writer(value: Mapping[str, Any]) -> Callable[[BinaryIO], None]:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return lambda file: _write_bytes(file, text.encode())


def _write_bytes(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _frame_writer(frame: pd.DataFrame, suffix: Format) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if suffix == "parquet":
            pq.write_table(table, file, compression="zstd")
        else:
            pa_csv.write_csv(_neutralised(table), file)

    return write


def _neutralised(table: pa.Table) -> pa.Table:
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            whole = column.combine_chunks()
            texts = pc.replace_substring_regex(whole.dictionary.cast(pa.string()), _FORMULA, r"'\1")
            columns.append(texts.take(whole.indices))
        elif pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            columns.append(pc.replace_substring_regex(column, _FORMULA, r"'\1"))
        else:
            columns.append(column)
    return pa.table(columns, names=table.column_names)


# --- reading ----------------------------------------------------------------------------------


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"is not JSON: {error}", file=str(path)) from error
    if not isinstance(value, dict):
        raise ResultError(file=str(path), expected="a JSON object", found=type(value).__name__)
    return value


def _paths(folder: Path, name: str) -> list[Path]:
    return [path for suffix in FORMATS if (path := folder / f"{name}.{suffix}").is_file()]


def _read_frame(folder: Path, name: str) -> pd.DataFrame:
    paths = _paths(folder, name)
    if not paths:
        raise ResultError(
            file=str(folder), expected=f"{name}.parquet or {name}.csv", found="neither", hint="run it again"
        )
    path = paths[0]
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else _read_csv(path, name)
        return pd.DataFrame(
            {column.name: _from_arrow(table, column) for column in columns_of(name)}, copy=False
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultError(
            f"cannot be read as the {name} frame: {reason}",
            file=str(path),
            hint="batchsim columns lists its columns",
        ) from error


def _read_csv(path: Path, name: str) -> pa.Table:
    types = {TEXT: pa.large_string(), CATEGORY: pa.string(), FLOAT: pa.float64(), BOOL: pa.bool_()}
    options = pa_csv.ConvertOptions(
        column_types={column.name: types.get(column.dtype, pa.int64()) for column in columns_of(name)},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = pa_csv.read_csv(
        path, convert_options=options, parse_options=pa_csv.ParseOptions(newlines_in_values=True)
    )
    columns = [
        pc.replace_substring_regex(column, _NEUTRALISED, r"\1")
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _from_arrow(table: pa.Table, column: Column) -> Any:
    values = table.column(column.name).combine_chunks()
    if column.dtype == TEXT:
        return strings(values.cast(pa.large_string()))
    if column.dtype == CATEGORY:
        return _category_from_arrow(values, column)
    if column.dtype == BOOL:
        _check_whole(values.is_null().to_numpy(zero_copy_only=False), column)
        return values.cast(pa.bool_()).to_numpy(zero_copy_only=False)
    if column.dtype == FLOAT:
        return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    missing = values.is_null().to_numpy(zero_copy_only=False)
    integers = values.cast(pa.int64()).fill_null(1).to_numpy(zero_copy_only=False)
    if column.dtype != INTEGER:
        return nullable(integers, missing)
    _check_whole(missing, column)
    return integers


def _check_whole(missing: npt.NDArray[np.bool_], column: Column) -> None:
    if missing.any():
        raise ValueError(f"column {column.name} has a missing value in row {int(missing.argmax())}")


def _category_from_arrow(values: pa.Array, column: Column) -> Any:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    if column.name != "state":
        return category(codes, names)
    states = SERVICE_STATES if column.frame == "service_jobs" else STATES
    known = states.categories.get_indexer(pd.Index([*names, None], dtype="str"))
    return pd.Categorical.from_codes(known[codes], dtype=states)
