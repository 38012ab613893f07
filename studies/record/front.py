"""The Pareto front of a study with several metrics: what it has in place of a single best trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studies.names import Direction
from studies.pareto import front, losses_of
from studies.storage import Storage
from studies.words import number, plural

N_SAID = 6  # points in a sentence


@dataclass(frozen=True)
class Point:
    """A trial on the front. values: in the order of the study's metrics."""

    trial: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class Front:
    """Trials that no other one dominates, the best in the first metric first. metrics: their names."""

    metrics: tuple[str, ...]
    points: list[Point]

    def __str__(self) -> str:
        return f"front of {plural(len(self.points), 'trial')}: {self.ranges}"

    @property
    def ranges(self) -> str:
        """From where to where its values go, metric by metric."""
        columns = zip(self.metrics, zip(*(point.values for point in self.points), strict=True), strict=True)
        return ", ".join(f"{name} {_range(min(values), max(values))}" for name, values in columns)

    @property
    def said(self) -> str:
        """Its points in words; of many the first and the last ones."""
        points = self.points
        if len(points) > N_SAID:
            points = [*points[: N_SAID // 2], *points[-(N_SAID // 2) :]]
        texts = [
            f"{point.trial} ({', '.join(f'{n} {number(v)}' for n, v in zip(self.metrics, point.values, strict=True))})"
            for point in points
        ]
        left_out = f", and {len(self.points) - len(points)} between them" if len(points) < len(self.points) else ""
        return f"trial {', '.join(texts)}{left_out}"

    @property
    def named(self) -> list[dict[str, Any]]:
        """Its points as plain data: each with its trial, and its values by metric."""
        return [
            {"trial": point.trial, "values": dict(zip(self.metrics, point.values, strict=True))}
            for point in self.points
        ]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Its points as rows of a table, below a header."""
        points = [(str(point.trial), *map(number, point.values)) for point in self.points]
        return [("trial", *self.metrics), *points]


def read_front(storage: Storage, study_id: int, metrics: Mapping[str, Direction]) -> Front | None:
    """Return the front of a study without reading its trials; None while it has no point, and with one metric."""
    if len(metrics) == 1:
        return None
    found = storage.ledger.values(study_id)
    places = front([losses_of(values, metrics.values()) for _, values in found])
    points = [Point(found[place][0], tuple(found[place][1])) for place in places]
    return Front(tuple(metrics), points) if points else None


def _range(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"
