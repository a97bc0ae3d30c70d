"""The picture of a comparison: what variants cost against how long jobs wait in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.units import S_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of Okabe and Ito's palette, which is told apart by the colour-blind as well; marks differ, too.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#8C8C8C"
_FRONT, _BEATEN = "on the front", "another costs less and waits no longer, or the reverse"
_KINDS: Final = {_FRONT: ("o", _BLUE), _BEATEN: ("s", _GREY)}
_SIZE_IN: Final = (8.0, 5.2)
_OFFSETS: Final = tuple(
    (across * far, up * far)
    for far in (8, 20, 34, 50, 70)
    for across, up in ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
)
_OUTSIDE: Final = 3
"""How many other names a name may rather cover than leave the picture."""


class Point(NamedTuple):
    """A variant: (mean, low, high) of its wait and cost; without an interval all three are the mean."""

    name: str
    wait_s: tuple[float, float, float]
    cost_usd: tuple[float, float, float]
    is_best: bool = False


class Titles(NamedTuple):
    """What is written above the picture, in small letters below that, along the axes, and of the best.

    waits, costs   the limits that targets set, in seconds and USD
    """

    above: str
    small: str
    wait: str
    cost: str
    best: str
    waits: Sequence[float] = ()
    costs: Sequence[float] = ()


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats in one mean without being worse in the other, by increasing wait."""
    front: list[Point] = []
    for point in sorted(points, key=_means):
        if not front or point.cost_usd[0] < front[-1].cost_usd[0] or _means(point) == _means(front[-1]):
            front.append(point)
    return front


def _means(point: Point) -> tuple[float, float]:
    return point.wait_s[0], point.cost_usd[0]


def draw_tradeoff(points: Sequence[Point], titles: Titles) -> Any:
    """A matplotlib Figure: cost against wait, intervals as bars, the Pareto front as a line."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=_SIZE_IN, layout="constrained")
    axes = figure.subplots()
    unit, seconds = _unit(points)
    front = pareto_front(points)
    if len({*map(_means, front)}) > 1:
        axes.plot(
            [each.wait_s[0] / seconds for each in front],
            [each.cost_usd[0] for each in front],
            color=_BLUE,
            linewidth=1.2,
            linestyle="--",
            zorder=1,
            label="Pareto front of the means",
        )
    for each in points:
        kind = titles.best if each.is_best else _FRONT if each in front else _BEATEN
        _mark(axes, each, seconds, kind)
    axes.margins(0.12)
    left, right = axes.get_xlim()
    axes.set_xlim(left=max(left, -right / 50))  # no wait is shorter than none, whatever its interval says
    _draw_targets(axes, titles, seconds)
    axes.set_xlabel(f"{titles.wait}, {unit}")
    axes.set_ylabel(titles.cost)
    figure.suptitle(titles.above, x=0.01, ha="left", fontsize=11)
    axes.set_title(titles.small, loc="left", fontsize=8.5, color="0.3")
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*_legend(axes), loc="outside lower left", ncols=4, frameon=False, fontsize=8.5)
    _name_points(figure, axes, points, seconds)
    return figure


def _draw_targets(axes: Any, titles: Titles, seconds: float) -> None:
    """The limits that are within the picture."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    style = {"color": _ORANGE, "linewidth": 1.0, "linestyle": ":", "zorder": 0, "label": "target"}
    for each in titles.waits:
        if left <= each / seconds <= right:
            axes.axvline(each / seconds, **style)
    for each in titles.costs:
        if low <= each <= high:
            axes.axhline(each, **style)


def _mark(axes: Any, point: Point, seconds: float, kind: str) -> None:
    (wait, *waits), (cost, *costs) = [each / seconds for each in point.wait_s], point.cost_usd
    shape, colour = _KINDS.get(kind, ("*", _ORANGE))
    axes.errorbar(
        wait,
        cost,
        xerr=[[wait - waits[0]], [waits[1] - wait]],
        yerr=[[cost - costs[0]], [costs[1] - cost]],
        fmt=shape,
        color=colour,
        markersize=14 if point.is_best else 7,
        elinewidth=1.2,
        capsize=3,
        zorder=3 if point.is_best else 2,
        label=kind,
    )


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    """Each kind of mark once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(reversed(labels), reversed(handles), strict=True))
    return list(once.values()), list(once)


def _unit(points: Sequence[Point]) -> tuple[str, float]:
    longest = max((each.wait_s[0] for each in points), default=0.0)
    if longest >= 2 * S_PER_HOUR:
        return "hours", float(S_PER_HOUR)
    return ("minutes", 60.0) if longest >= 120 else ("seconds", 1.0)


def _name_points(figure: Any, axes: Any, points: Sequence[Point], seconds: float) -> None:
    """Write each name beside its point, where it covers no other name and no other point if possible."""
    figure.canvas.draw()
    taken = [_box_of_point(axes, each, seconds) for each in points]
    inside = axes.get_window_extent()
    for own, each in enumerate(points):
        best = None
        for offset in _OFFSETS:
            text = _name(axes, each, seconds, offset)
            box = _box_of_name(text)
            covered = sum(box.overlaps(other) for row, other in enumerate(taken) if row != own)
            within = (
                inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            )
            covered += offset[1] == 0 and each.wait_s[1] < each.wait_s[2]  # its own bar
            covered += (0 if within else _OUTSIDE) + (not _is_nearest(taken[: len(points)], own, box, offset))
            if best is None or covered < best[0]:
                if best is not None:
                    best[1].remove()
                best = (covered, text, box)
            else:
                text.remove()
            if not best[0]:
                break
        assert best is not None
        taken.append(best[2])


def _is_nearest(marks: Sequence[Any], own: int, box: Any, offset: tuple[int, int]) -> bool:
    """Whether no other mark is nearer to a name; one with a line to its mark cannot be mistaken."""
    if _has_line(offset):
        return True
    gaps = [
        max(box.x0 - mark.x1, mark.x0 - box.x1, 0.0) ** 2 + max(box.y0 - mark.y1, mark.y0 - box.y1, 0.0) ** 2
        for mark in marks
    ]
    return all(gap > gaps[own] for row, gap in enumerate(gaps) if row != own)


def _has_line(offset: tuple[int, int]) -> bool:
    return max(map(abs, offset)) > _OFFSETS[0][0]


def _name(axes: Any, point: Point, seconds: float, offset: tuple[int, int]) -> Any:
    across, up = offset
    return axes.annotate(
        point.name,
        (point.wait_s[0] / seconds, point.cost_usd[0]),
        xytext=offset,
        textcoords="offset points",
        ha="left" if across > 0 else "right" if across < 0 else "center",
        va="bottom" if up > 0 else "top" if up < 0 else "center",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6} if _has_line(offset) else None,
    )


def _box_of_name(text: Any) -> Any:
    """The pixels of a name, without the line to its point."""
    from matplotlib.text import Text  # noqa: PLC0415 - slow to import

    text.get_window_extent()  # puts it where its point is
    return Text.get_window_extent(text)


def _box_of_point(axes: Any, point: Point, seconds: float) -> Any:
    """The pixels of a point's mark."""
    from matplotlib.transforms import Bbox  # noqa: PLC0415 - slow to import

    across, up = axes.transData.transform((point.wait_s[0] / seconds, point.cost_usd[0]))
    return Bbox.from_extents(across - 9, up - 9, across + 9, up + 9)
