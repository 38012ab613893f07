"""Learning curves as lines in an SVG: drawn here, so that a browser runs nothing for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import quantiles

from studies.names import State
from studies.storage.pages import Curve

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, EDGE = 720, 300, 72, 20, 28, 10
N_PERCENT = 50  # the axis leaves out the outermost fiftieth at either end, where trials diverged
MIN_VALUES = 20  # fewer are all shown

Scale = Callable[[float], float]  # from a value to its place in pixels


@dataclass(frozen=True)
class Line:
    """One trial's curve. kind: its state, or `best`; what it looks like. points: as SVG has them."""

    trial: int
    kind: str
    points: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """All that the page needs to draw the curves. x, y: the marks on the axes, in pixels."""

    lines: Sequence[Line]
    x: Sequence[Tick]
    y: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM


def drawing(curves: Sequence[Curve], best: Collection[int]) -> Drawing | None:
    """Return the curves as they are drawn, the best ones last and so on top; None where nothing was reported."""
    if not curves:
        return None
    first = min(curve.epochs[0] for curve in curves)
    last = max(curve.epochs[-1] for curve in curves)
    low, high = _range([value for curve in curves for value in curve.values])
    for curve in curves:
        if curve.trial in best:
            low, high = min(low, *curve.values), max(high, *curve.values)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((epoch - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - EDGE) * share

    ordered = sorted(curves, key=lambda curve: (curve.trial in best, curve.state != State.PRUNED, curve.trial))
    return Drawing(
        [_line(curve, best, x, y) for curve in ordered],
        [Tick(x(epoch), f"{epoch:.0f}") for epoch in _round_numbers(first, last) if epoch == int(epoch)],
        [Tick(y(value), f"{value:.7g}") for value in _round_numbers(low, high)],
    )


def _line(curve: Curve, best: Collection[int], x: Scale, y: Scale) -> Line:
    points = " ".join(f"{x(e):.1f},{y(v):.1f}" for e, v in zip(curve.epochs, curve.values, strict=True))
    if len(curve.epochs) == 1:  # a line of one point is not to be seen
        points = f"{points} {x(curve.epochs[0]) + 2:.1f},{y(curve.values[0]):.1f}"
    return Line(curve.trial, "best" if curve.trial in best else curve.state.value, points)


def _range(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < MIN_VALUES:
        return min(values), max(values)
    cuts = quantiles(values, n=N_PERCENT)
    return cuts[0], cuts[-1]


def _round_numbers(low: float, high: float) -> list[float]:
    """Return three to nine round numbers from low to high; low alone where they are the same."""
    if not 1e-300 < high - low < math.inf:
        return [low]
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(share * size for share in (2.0, 1.0, 0.5, 0.2) if high - low >= 3 * share * size)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
