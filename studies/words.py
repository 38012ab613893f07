"""How values, numbers, counts and names are written for a person."""

from __future__ import annotations

import difflib
import html
import json
import re
import signal
import unicodedata
from collections.abc import Iterable
from typing import Any

IMPORTING = "importing the objective"  # and torch with it: seconds in which there is nothing else to see
MAX_LISTED = 20  # names in a hint

# What UTF-8 or PostgreSQL refuses (lone surrogates, NUL), what a terminal would obey (escape sequences), and what would
# show the text after it the other way round.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*|]|(?<=\])\()")


def clean(text: str) -> str:
    """Return text from outside as every storage, file and terminal takes it: control characters become `\\x1b`."""
    return _NOT_TEXT.sub(lambda found: _escape(ord(found[0])), text.replace("\r\n", "\n"))


def cell(text: str) -> str:
    """Return text from outside as a part of a table: line breaks and tabs stay what they are, and become `\\n`."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def marked(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", html.escape(re.sub(r"\s+", " ", clean(text)), quote=False))


def one_line(text: str) -> str:
    """Return text from outside as a part of a line."""
    return " ".join(clean(text).split())


def last_line(text: str | None, but: tuple[str, ...] = ()) -> str:
    """Return the last line that has anything in it, nothing where none has. but: what begins lines that do not count.

    >>> last_line("srun: one\\n two \\n\\nsrun: three\\n", but=("srun: ",))
    'two'
    """
    lines = (line.strip() for line in reversed((text or "").splitlines()) if not line.startswith(but))
    return next(filter(None, lines), "")


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def plain_name(text: str) -> str:
    """Return small letters, digits and dashes that are like a text, for a name: `größe 2` is `groe-2`."""
    letters = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return "-".join(re.findall("[a-z0-9]+", letters))


def meant(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known names; nothing where none is near."""
    known = list(known)
    # One that is off by a letter or two stands alone.
    matches = difflib.get_close_matches(name, known, n=2, cutoff=0.8) or difflib.get_close_matches(name, known, n=2)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known names, or at all of them where they are few."""
    known = sorted(known)
    if hint := meant(name, known):
        return hint
    if len(known) > MAX_LISTED:
        return ""
    return f"; known: {', '.join(known)}" if known else "; none is known here"


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON: any letter as it is, and what a terminal would obey as `\\u009b`."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _NOT_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shown(value: Any) -> str:
    """Return a value as a person writes it in a study file."""
    return json_text(value)


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
    if type(value) is int:  # what most are, and json takes ten times as long
        return str(value)
    return "-" if value is None else json_text(value)


def short(value: Any) -> str:
    """Return a parameter's value in a cell: four digits of a number, the rest in full."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:  # a choice like any other
        return "null"
    return cell(value) if isinstance(value, str) else exact(value)


def plural(n: int, word: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{n:,} {word}" + ("" if n == 1 else "s")


def be(n: int) -> str:
    """Return `is` or `are`, of so many."""
    return "is" if n == 1 else "are"


def all_its(n: int, word: str) -> str:
    """Return `its only trial`, `all its 2 trials`."""
    return f"its only {word}" if n == 1 else f"all its {plural(n, word)}"


def numbered(n_trials: int) -> str:
    """Return how many trials a study has, for a person who named one that is not there."""
    return f"{plural(n_trials, 'trial')}, numbered from 0"


def state(word: str, why: str | None = None) -> str:
    """Return a trial's state in a person's words, such as `failed (exception)`. why: in brackets, if any."""
    said = "failed" if word.lower() == "fail" else word.lower()
    return f"{said} ({why})" if why else said


def cut(text: str, length: int) -> str:
    """Return text from outside as one line that is no longer than this."""
    line = one_line(text)
    return line if len(line) <= length else line[: length - 1] + "…"


def infeasible(n: int) -> str:
    """Return the sentence about completed trials that violate a constraint."""
    return f"{plural(n, 'completed trial')} {'violates' if n == 1 else 'violate'} a constraint and cannot be the best."


def lost(n: int) -> str:
    """Return the sentence about trials whose worker is gone."""
    gone, them = ("its worker is gone", "it") if n == 1 else ("their workers are gone", "them")
    return f"{plural(n, 'trial')} lost: {gone}; the next worker goes on with {them}."


def duration(seconds: float | None) -> str:
    """Return a time as a person says it."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def memory(mib: float | None) -> str:
    """Return a size of memory for a person."""
    return "-" if mib is None else data_size(round(mib * 2**20))


def signal_name(number: int) -> str:
    """Return a signal's name, with what it means where that is not widely known."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (segmentation fault)" if name == "SIGSEGV" else name


def busy(percent: float | None) -> str:
    """Return how busy a device is; of several cores it may be more than 100 %."""
    return "-" if percent is None else f"{percent:.0f} %"


def data_size(n_bytes: int) -> str:
    """Return a number of bytes for a person."""
    size, unit = float(n_bytes), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"
