"""What `batchsim run` says of how jobs came to start: launches that failed, and waits for images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import by_reason, duration, percent

if TYPE_CHECKING:
    from collections.abc import Iterator


def launches(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Why launches failed; nothing where none did."""
    if "launches_failed" in summary:
        yield "launches", f"failed {by_reason(summary['launches_failed'], 'instances')}"


def images(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How long attempts waited for their images; nothing where none did."""
    told = summary.get("images")
    if told is None:
        return
    who = (
        "1 attempt waited for its own"
        if told["waited"] == 1
        else f"{told['waited']:,} attempts waited for theirs"
    )
    times = f"P50 {duration(told['wait_p50_s'])}, P95 {duration(told['wait_p95_s'])}"
    found = f"; {told['found']:,} found them there" if told["found"] else ""
    yield "images", f"{who}: {times}, {percent(told['part_of_starting'])} of all time in STARTING{found}"
