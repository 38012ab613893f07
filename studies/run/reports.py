"""The reports of a program, in whichever way it makes them, as the epochs of a trial."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.program import EPOCH, WAIT
from studies.words import cut

if TYPE_CHECKING:
    import regex

LONGEST_LINE = 64 * 1024  # of a program's output; of a longer one, the end
DRAWN = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")  # colours, and where a terminal's cursor goes
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+\.\d*|[-+]?\d{1,3}(,\d{3}){2,}")  # 1,234 may be 1.234 as well
POLL_S = 0.2  # between looks at a file that a program writes
MAX_SHARE = 0.1  # of the time goes into these looks
MATCH_S = 1.0  # of processor time that a pattern may take in one line
SHOWN = 60  # letters of a line, in a message


@dataclass(frozen=True)
class Epoch:
    """One epoch, told whole. number: the program's own. waits: the program waits for an answer."""

    number: float
    metrics: dict[str, float]
    waits: bool = False


@dataclass
class Journal:
    """Makes epochs of reports. An epoch is told when the study's metrics are; what is told of it later is not counted.

    A report without an epoch is of the one after the last. begin: the number of the last epoch before, where the
    program goes on with its checkpoints. again: of the first epoch that was told with two values, the name of the
    metric, the epoch, the value that counts, and the other.
    """

    metrics: Collection[str]
    begin: float = 0.0
    names: set[str] = field(default_factory=set)
    no_numbers: dict[str, Any] = field(
        default_factory=dict
    )  # of the study's metrics, what was told last in their place
    again: tuple[str, float, float, float] | None = None
    _counted: Mapping[str, float] = field(default_factory=dict)
    _last: float | None = None
    _number: float | None = None
    _told: dict[str, float] = field(default_factory=dict)

    def add(self, report: Mapping[str, Any]) -> Epoch | None:
        """Take a report; return the epoch that is whole with it."""
        numbers = {str(name): found for name, value in report.items() if (found := number_in(value)) is not None}
        self.no_numbers |= {name: report[name] for name in self.metrics if name in report and name not in numbers}
        waits = report.get(WAIT) is True
        named = epoch_in(numbers.keys() - set(self.metrics))
        number = None if named is None else numbers.pop(named)
        if number is None:
            before = self.begin if self._last is None else self._last
            number = before + 1 if self._number is None else self._number
        if not math.isfinite(number) or (self._last is not None and number <= self._last):
            self._see_again(number, numbers)
            return None
        if number != self._number:
            self._number, self._told = number, {}
        self.names |= set(numbers)
        self._told |= numbers
        if not self._told.keys() >= set(self.metrics):
            return None
        epoch = Epoch(number, self._told, waits)
        self._last, self._number, self._told, self._counted = number, None, {}, self._told
        return epoch

    def _see_again(self, number: float, numbers: Mapping[str, float]) -> None:
        if number == self._last and self.again is None:
            told = (name for name in self.metrics if numbers.get(name, math.nan) != self._counted[name])
            if (name := next((name for name in told if name in numbers), None)) is not None:
                self.again = name, number, self._counted[name], numbers[name]


def epoch_in(names: Collection[str]) -> str | None:
    """Return which of a report's names is that of its epoch: `epoch`, or one that only its capitals tell from it."""
    found = [EPOCH] if EPOCH in names else [name for name in names if name.lower() == EPOCH]
    return found[0] if len(found) == 1 else None


def number_in(value: Any) -> float | None:
    """Return a value as a number, None for what is none; JSON has only null for what is not a number."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        value = value.rstrip(".,;%")
        value = value.replace(",", "") if THOUSANDS.fullmatch(value) else value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


class Lines:
    """Bytes in whatever encoding as lines of text, without colours. A progress bar's carriage return ends one, too."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, content: bytes) -> Iterator[str]:
        """Yield the lines that end with these bytes."""
        *whole, self._rest = re.split(rb"[\r\n]+", self._rest + content)
        self._rest = self._rest[-LONGEST_LINE:]
        yield from (text for line in whole if (text := DRAWN.sub(b"", line).decode(errors="replace")))

    def end(self) -> Iterator[str]:
        """Yield the last line, where nothing ends it."""
        yield from self.add(b"\n")


class PatternTooSlow(Exception):
    """A pattern takes longer than MATCH_S in one line: it tries ever more ways to match."""

    fix = "write it without a repeat inside a repeat, as in (a+)+, and with one .* at most"

    def __init__(self, pattern: str, line: str) -> None:
        pattern, line = cut(pattern, 2 * SHOWN), cut(line, SHOWN)
        self.what = f"objective.reports.pattern '{pattern}' takes more than {MATCH_S:g} s in the line '{line}'"
        super().__init__(f"{self.what}; {self.fix}")


def reports_in(pattern: regex.Pattern[str], line: str) -> Iterator[dict[str, str]]:
    """Yield the reports in a line: the first, and those after it that begin as it does, as `epoch 1` and `epoch 2` do.

    Of `epoch 1 loss 0.5 val_loss 0.4` a pattern may find a loss again: it is told already. One that was not is of the
    same epoch. Raises PatternTooSlow.
    """
    told: set[str] = set()
    start = ""
    try:
        for found in pattern.finditer(line, timeout=MATCH_S):
            report = {name: value for name, value in found.groupdict().items() if value is not None}
            epoch = epoch_in(report)
            words = "" if epoch is None else line[found.start() : found.start(epoch)]
            if words == start and re.search(r"[^\W\d]", words):
                told.clear()
            if report and told.isdisjoint(report):
                told |= report.keys()
                start = start or words
                yield report
    except (TimeoutError, MemoryError):
        raise PatternTooSlow(pattern.pattern, line) from None


def object_in(line: str) -> dict[str, Any] | None:
    """Return the JSON object in a line, None where there is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class WrittenFile:
    """A file that a program writes, read again as it grows. What was in it before the program is not the program's."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path, self._kind = path, kind
        self._before, self._stamp = self._content(), self._changed_at()
        self._seen = self._before
        self._n_rows = self._n_old = len(self._rows(self._before))
        self._next_look = 0.0

    def rows(self, ended: bool = False) -> Iterator[Mapping[str, Any]]:
        """Yield the reports that are new. ended: look now, and take a last line without an end as whole."""
        started = time.monotonic()
        if started < self._next_look and not ended:
            return
        content = self._content()
        if content != self._seen or ended:
            self._seen = content
            yield from self._new(self._rows(content if ended else content[: content.rfind(b"\n") + 1]))
        now = time.monotonic()
        self._next_look = now + max(POLL_S, (now - started) / MAX_SHARE)

    def _new(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        is_same = self._seen == self._before and self._changed_at() == self._stamp
        if self._n_old and not is_same and (not self._seen.startswith(self._before) or self._seen == self._before):
            self._n_old = self._n_rows = 0  # it was begun anew
        if len(rows) < self._n_rows:
            self._n_rows = 0
        new = rows[self._n_rows :]
        self._n_rows = len(rows)
        return new

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError:
            return b""

    def _changed_at(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0

    def _rows(self, content: bytes) -> list[Mapping[str, Any]]:
        text = content.decode("utf-8-sig", errors="replace")
        if self._kind == "csv":
            return list(_table(text))
        return [found for line in text.splitlines() if (found := object_in(line)) is not None]


def _table(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table by its header, up to where it is none: its columns are those that most separate."""
    separator = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    with suppress(csv.Error):  # such as a quote that is never closed
        for row in rows:
            yield {name.strip(): value.strip() for name, value in row.items() if name and value}
