"""A report as one file: HTML that opens offline, or Markdown. Both print every word and table; HTML draws as well."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from studies.files import kind_of, write_file
from studies.report.document import Document, Figure, Section, Table
from studies.report.sections import document
from studies.report.shades import drawable
from studies.words import clean, marked

if TYPE_CHECKING:
    from studies.record.study import StudyRecord

TEMPLATE = Path(__file__).with_name("page.html")
# plotly.js's basic bundle, a quarter of the whole one: lines, points and bars. `drawable` makes heat maps of bars.
PLOTLY = Path(__file__).with_name("plotly") / "plotly-basic.min.js"
HEIGHT = 800  # pixels of a page in a notebook
WIDE = 6  # columns; a table with more scrolls sideways rather than wrap its cells
CODE = re.compile(r"`([^`]+)`")


def render(record: StudyRecord, kind: str) -> str:
    """Return the report in this format, one of FORMATS."""
    return FORMATS[kind](document(record))


def files(record: StudyRecord) -> Iterator[tuple[str, str | bytes]]:
    """Yield the report in every format and each of its figures as PNG, by file name."""
    from studies.report.png import pictures

    page = document(record)
    for kind, as_text in FORMATS.items():
        yield f"{record.spec.name}.report.{kind}", as_text(page)
    yield from pictures(page)


def as_html(page: Document) -> str:
    """Return the page with plotly and the figures' data inside."""
    drawn = [figure for section in page.sections for figure in section.figures]
    numbers = iter(range(len(drawn)))
    contents = "".join(f'<a href="#{_anchor(s.title)}">{_escaped(s.title)}</a>' for s in page.sections)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=_escaped(page.title),
        subtitle=_escaped(page.subtitle),
        contents=contents,
        body="\n".join(_section(section, numbers) for section in page.sections),
        plotly=PLOTLY.read_text(encoding="utf-8"),
        figures=_in_script([drawable(figure) for figure in drawn]),
    )


def as_markdown(page: Document) -> str:
    """Return the page's words and tables."""
    parts = [f"# {marked(page.title)}", marked(page.subtitle)]
    for section in page.sections:
        parts.append(f"## {marked(section.title)}")
        parts += [_marked_text(text) for text in section.text]
        parts += [_markdown_table(table) for table in section.tables if table.rows]
        parts += [_marked_text(note) for note in section.notes]
    return "\n\n".join(parts) + "\n"


FORMATS: dict[str, Callable[[Document], str]] = {"html": as_html, "md": as_markdown}


@dataclass(frozen=True)
class Page:
    """A report. A notebook shows it below the cell."""

    document: Document = field(repr=False)

    @cached_property
    def content(self) -> str:
        """The page as HTML."""
        return as_html(self.document)

    def __repr__(self) -> str:
        return f"<a page of {len(self.content) / 1e6:.1f} MB; .save(FILE) writes it>"

    def save(self, file: str | Path) -> Path:
        """Write the page to a file, whole or not at all, and return where it is.

        As Markdown where its name ends in .md, else as HTML. Raises WrongInput for the ending of another format.
        """
        kind = kind_of(file, FORMATS, "html", "The file")
        write_file(Path(file), self.content if kind == "html" else FORMATS[kind](self.document))
        return Path(file)

    def _repr_html_(self) -> str:
        # A frame of its own: neither the page's styles nor its scripts touch the notebook.
        return f'<iframe srcdoc="{html.escape(self.content)}" width="100%" height="{HEIGHT}"></iframe>'


def _section(section: Section, numbers: Iterator[int]) -> str:
    texts = "".join(f"<p>{_text(text)}</p>" for text in section.text)
    tables = "".join(_table(table) for table in section.tables if table.rows)
    figures = "".join(_figure(figure, next(numbers)) for figure in section.figures)
    notes = "".join(f'<p class="note">{_text(note)}</p>' for note in section.notes)
    parts = [
        f"<h2>{_escaped(section.title)}</h2>",
        texts,
        f'<div class="tables">{tables}</div>' if tables else "",
        f'<div class="figures">{figures}</div>' if figures else "",
        notes,
    ]
    return f'<section id="{_anchor(section.title)}">' + "\n".join(part for part in parts if part) + "</section>"


def _figure(figure: Figure, index: int) -> str:
    kind = "figure half" if figure.half else "figure"
    title = _escaped(figure.title)
    return f'<div class="{kind}"><h3>{title}</h3><div class="plot" id="figure-{index}"></div></div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_escaped(cell)}</th>' for cell in table.header)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.header) else ""
    rows = []
    for index, row in enumerate(table.rows):
        mark = ' class="mark"' if index in table.marks else ""
        rows.append(f"<tr{mark}>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>")
    kind = "scroll wide" if len(table.header) > WIDE else "scroll"
    label = _escaped(", ".join(cell for cell in table.header if cell) or "values")
    # What scrolls can have the keyboard's focus: without a mouse it is read with the arrow keys.
    focus = f'tabindex="0" role="group" aria-label="Table: {label}"'
    return f'<div class="{kind}" {focus}><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def _escaped(text: str) -> str:
    return html.escape(clean(text))


def _text(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", _escaped(text))


def _in_script(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _markdown_table(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    cells = ([cell if cell == "---" else marked(cell) for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _marked_text(text: str) -> str:
    """Return a sentence; what stands between backticks stays code."""
    return "".join(f"`{part}`" if index % 2 else marked(part) for index, part in enumerate(CODE.split(text)))
