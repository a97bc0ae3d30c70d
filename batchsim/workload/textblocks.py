"""Reading large text files, plain or gzip, in bounded memory and with one clear error for each damage."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from batchsim.errors import TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 2 * 2**30
BLOCK_BYTES: Final = 2**20  # also the longest line: a block holds whole lines and stays in the CPU's cache

GZIP_ERRORS: Final = (EOFError, zlib.error, gzip.BadGzipFile)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def damaged(path: Path) -> TraceError:
    """What to raise for GZIP_ERRORS."""
    return TraceError("the gzip file is damaged or cut short", file=str(path), hint="fetch it again")


def require_file(path: Path) -> None:
    """Raise TraceError for what is not there, a folder or a pipe."""
    if not path.is_file():  # opening a pipe would wait for ever
        found = "something else" if path.exists() else "nothing of that name"
        raise TraceError(file=str(path), expected="a file", found=found)


class TextBlocks:
    """Iterate once over `(number of the first line, bytes of whole lines)`, about 1 MiB at a time.

    A gzip file is known by its first bytes, not by its name. A UTF-8 byte order mark is skipped. At
    most 2 GiB of text are read, counted after decompression. `sha256()`, asked for after the last
    block, is the hexadecimal digest of the text, the same for a plain and a compressed file. Every
    problem with the file is a TraceError.
    """

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self._path = path
        self._digest = hashlib.sha256()

    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        line, rest = 1, b""
        for chunk in self._chunks():
            text = rest + chunk
            end = text.rfind(b"\n") + 1
            if end:
                yield line, text[:end]
                line += text.count(b"\n")
            rest = text[end:]
            if len(rest) > BLOCK_BYTES:
                raise TraceError(
                    file=self.file,
                    line=line,
                    expected="lines of at most 1 MiB",
                    found="a longer one",
                    hint="is this a text file?",
                )
        if rest:
            yield line, rest

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        try:
            require_file(self._path)
            with self._open() as stream:
                while chunk := stream.read(BLOCK_BYTES):
                    start = len(_BYTE_ORDER_MARK) if total == 0 and chunk.startswith(_BYTE_ORDER_MARK) else 0
                    total += len(chunk)
                    if total > MAX_BYTES:
                        raise TraceError(
                            file=self.file,
                            expected="at most 2 GiB of text after decompression",
                            found="more",
                            hint="split the file",
                        )
                    self._digest.update(chunk)
                    yield chunk[start:]
        except GZIP_ERRORS as error:
            raise damaged(self._path) from error
        except OSError as error:
            raise TraceError(f"cannot be read: {error.strerror or error}", file=self.file) from error

    def _open(self) -> BinaryIO:
        with self._path.open("rb") as stream:
            compressed = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        return cast("BinaryIO", gzip.open(self._path, "rb")) if compressed else self._path.open("rb")
