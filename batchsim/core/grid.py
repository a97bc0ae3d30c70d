"""The grid of instants at which passes and scaling decisions happen."""

from __future__ import annotations

from typing import Final

# Later than any instant of any run, and the largest number that costs no memory once it is compiled.
NEVER: Final = (1 << 62) - 1


def next_multiple(instant: int, interval: int) -> int:
    """The first multiple of `interval` that is not before `instant`; `instant` itself if interval is 0."""
    return -(-instant // interval) * interval if interval else instant
