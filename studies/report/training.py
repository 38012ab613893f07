"""The report's sections on how trials trained: curves, epochs, speed, and where the hours went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from studies import words
from studies.record.diagnose import NOTICEABLE
from studies.record.verdicts import Verdict, VerdictKind
from studies.report import figures, findings
from studies.report.document import Section, Table
from studies.words import duration, number, plural

if TYPE_CHECKING:
    from studies.record.study import StudyRecord

MAX_SWEEP_ROWS = 12
MAX_DETAIL = 160
TYPICAL = "The median of the trials that ran to the end"


def learning_curves(record: StudyRecord) -> Section | None:
    """Return every trial's curve; None when none was reported."""
    if not any(trial.curve for trial in record.trials):
        return None
    counts = record.counts
    text = (
        f"{plural(counts['complete'], 'trial')} trained to the end, {counts['pruned']:,} were pruned and "
        f"{counts['failed']:,} failed."
    )
    return Section("Learning curves", [text], figures=[figures.curves(record)])


def epochs(record: StudyRecord, verdicts: dict[int, Verdict]) -> Section | None:
    """Return what each number of epochs would have given, and where overfitting begins."""
    points = findings.sweep(record)
    if len(points) < 2:
        return None
    first = next(point for point in points if point.best == points[-1].best)
    of = f"{points[0].epoch} to {points[-1].epoch}" if record.is_function else str(points[-1].epoch)
    texts = [f"The best value was reached at {record.unit} {first.epoch} of {of}."]
    typical = [point for point in points if point.typical is not None]
    texts.append(_typical_course(record, [(point.epoch, point.typical or 0.0) for point in typical]))
    over = sum(verdict.kind is VerdictKind.OVERFITS for verdict in verdicts.values())
    if over:
        texts.append(f"{plural(over, 'trial')} overfitted by the verdict of their curves.")
    rows = [
        (str(point.epoch), f"{point.n:,}", number(point.best), number(point.typical))
        for point in figures.spread_out(list(points), MAX_SWEEP_ROWS)
    ]
    table = Table((f"{record.unit}s", "trials that reached it", "best so far", "median of those to the end"), rows)
    return Section("Epochs", texts, tables=[table], figures=[figures.sweep(record, points)])


def _typical_course(record: StudyRecord, typical: Sequence[tuple[int, float]]) -> str:
    """Return what the median of the trials that ran to the end does after its best epoch."""
    (_, first), (last_epoch, last) = typical[0], typical[-1]
    peak_epoch, peak = max(typical, key=lambda point: (record.sign * point[1], -point[0]))
    if peak_epoch == last_epoch:
        return f"{TYPICAL} was at its best in the last {record.unit}: more may give more."
    course = f"{TYPICAL} is at its best in {record.unit} {peak_epoch} ({number(peak)})"
    if abs(peak - last) <= NOTICEABLE * abs(peak - first):
        return f"{course} and flat after it."
    return f"{course} and ends at {number(last)}: overfitting begins there."


def speed(record: StudyRecord) -> Section | None:
    """Return time, examples a second and memory, by batch size where that varies; None when no trial was timed."""
    found = findings.speeds(record)
    if not found:
        return None
    rows = [
        (
            "any" if one.batch_size is None else str(one.batch_size),
            f"{one.n:,}",
            duration(one.epoch_s),
            number(one.examples_per_s),
            "-" if one.peak_memory_mib is None else f"{one.peak_memory_mib:,.0f} MiB",
            number(one.value),
        )
        for one in found
    ]
    header = ("batch size", "trials", "an epoch", "examples/s", "peak memory", f"median {record.spec.metric}")
    note = (
        "Medians over epochs and trials. Other parameters differ between them, and trials of one machine share its "
        "cores. Memory is torch's on a GPU, else what the worker's process held."
    )
    return Section(
        "Speed", [], tables=[Table(header, rows)], figures=figures.speed(found) if len(found) > 1 else [], notes=[note]
    )


def outcomes(record: StudyRecord) -> Section:
    """Return trials by outcome and reason, and where the hours went."""
    found = findings.outcomes(record)
    spent = findings.hours(record)
    rows = [(words.state(state), reason or "-", f"{n:,}") for (state, reason), n in found.items()]
    text = f"Trials trained for {_hours(spent.used)} in all"
    text += f", of which {_hours(spent.failed)} went to trials that failed." if spent.failed else "."
    if spent.saved:
        text += (
            f" Pruning saved about {_hours(spent.saved)}: what the pruned trials would have needed to "
            f"{plural(record.max_epochs, record.unit)} at their own pace."
        )
    errors = Counter(trial.detail for trial in record.trials if trial.detail is not None)
    tables = [Table(("outcome", "reason", "trials"), rows)]
    if errors:
        told = [(words.cut(detail, MAX_DETAIL), f"{n:,}") for detail, n in errors.most_common(5)]
        tables.append(Table(("what trials said", "trials"), told))
    return Section("Outcomes and hours", [text], tables=tables)


def _hours(hours: float) -> str:
    return duration(hours * 3600)
