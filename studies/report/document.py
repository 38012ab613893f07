"""What a report is made of, before it is HTML or Markdown: sections of plain text, tables and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of text under a header. marks: rows to stress."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A drawing in plotly's JSON. title: above it, and all that a page without drawings shows of it. half: two fit
    beside each other."""

    title: str
    data: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    half: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading: first what it says, then what it rests on, then how to read it."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    sections: Sequence[Section] = field(default_factory=list)


def number(value: float | None) -> str:
    """Return a number as a person reads it: four decimals, fewer of large ones, an exponent for tiny ones."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.4f}" if size < 100 else f"{value:.1f}"


def percent(share: float) -> str:
    """Return a share as a person reads it, with one decimal."""
    return f"{share:.1%}"


def exact(value: Any) -> str:
    """Return a value in full, as JSON has it, for copying into a study file."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def short(value: Any) -> str:
    """Return a parameter's value in a cell: four digits of a number, the rest in full."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else exact(value)


def plural(n: int, word: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{n:,} {word}" + ("" if n == 1 else "s")


def duration(seconds: float | None) -> str:
    """Return a time as a person says it."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
