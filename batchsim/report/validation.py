"""The picture of a validation: when jobs really started against when they did in simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

_MARKS = {"measured": "o", "heard": "x", "planned": "^"}


def draw_starts(starts: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Of (real, simulated) starting instants in seconds, by name of the simulation."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    latest = max((real for pairs in starts.values() for real, _ in pairs), default=1.0)
    left.plot([0, latest], [0, latest], color="0.7", linewidth=1, zorder=0)
    right.axhline(0, color="0.7", linewidth=1, zorder=0)
    for name, pairs in starts.items():
        if not pairs:
            continue
        real, simulated = zip(*pairs, strict=True)
        errors = [b - a for a, b in pairs]
        mark = _MARKS.get(name, ".")
        left.scatter(real, simulated, s=14, marker=mark, label=name, linewidths=0.8)
        right.scatter(real, errors, s=14, marker=mark, label=name, linewidths=0.8)
    left.set_xlabel("real start, s")
    left.set_ylabel("simulated start, s")
    left.legend()
    right.set_xlabel("real start, s")
    right.set_ylabel("simulated - real start, s")
    return figure
