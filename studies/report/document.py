"""What a report is made of, before it is HTML or Markdown: sections of plain text, tables and figures; and its page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.files import write_file

HEIGHT = 800  # pixels of a page in a notebook


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


@dataclass(frozen=True)
class Page:
    """A report as HTML. A notebook shows it below the cell."""

    content: str = field(repr=False)

    def __repr__(self) -> str:
        return f"<a page of {len(self.content) / 1e6:.1f} MB; .save(FILE) writes it>"

    def save(self, file: str | Path) -> Path:
        """Write the page to a file, whole or not at all, and return where it is."""
        write_file(Path(file), self.content)
        return Path(file)

    def _repr_html_(self) -> str:
        # A frame of its own: neither the page's styles nor its scripts touch the notebook.
        return f'<iframe srcdoc="{html.escape(self.content)}" width="100%" height="{HEIGHT}"></iframe>'
