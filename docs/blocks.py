"""What the reference pages are made of: Markdown, and the tables that docstrings hold."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: object) -> str:
    """Return text as inline code, or nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def block(language: str, text: str) -> str:
    """Return text as a code block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def page(title: str, *parts: str) -> str:
    """Return a page that says where it comes from."""
    return "\n\n".join([f"# {title}", *parts]) + "\n"


def listed(docstring: str | None) -> list[tuple[str, str]]:
    """Return the rows of a docstring's first table: names on the left, what they mean in a column of its own."""
    rows: list[list[str]] = []
    column = 0
    for line in inspect.cleandoc(docstring or "").splitlines():
        if not rows and (found := re.match(r"(.*\S) {2,}(\S.*)$", line)):
            column = found.start(2)
        elif rows and not line.strip():
            break
        if column and line[:column].strip():
            rows.append([line[:column].strip(), line[column:]])
        elif column:
            rows[-1][1] += " " + line.strip()
    return [(name, meaning) for name, meaning in rows]


def described(docstring: str | None, known: Iterable[str]) -> dict[str, str]:
    """Return what a docstring says of each name, written as `name: meaning. other: meaning.`"""
    text = " ".join(inspect.cleandoc(docstring or "").split())
    places = [(found.start(), found.end(), name) for name in known if (found := re.search(rf"(?<!\w){name}: ", text))]
    ends = [start for start, _, _ in sorted(places)[1:]] + [len(text)]
    return {
        name: text[begin:end].strip().rstrip(".;") for (_, begin, name), end in zip(sorted(places), ends, strict=True)
    }
