"""What a report is made of, before it is HTML or Markdown: sections of plain text, tables and figures."""

from __future__ import annotations

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
