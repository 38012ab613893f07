"""The report's section on what the best trial answers: which classes it takes for which, how it does in each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studies.metrics import ACCURACY
from studies.record.classes import Classes, Recall, read_classes
from studies.report import figures
from studies.report.document import Section, Table
from studies.words import number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studies.record.study import StudyRecord, TrialRecord

MAX_PAIRS = 10
MAX_GROUPS = 40


def predictions(record: StudyRecord) -> Section | None:
    """Return the evidence of the best trial; None when there is none."""
    best = record.best
    evidence = best.evidence if best else None
    if best is None or not isinstance(evidence, dict):
        return None
    if "error" in evidence:
        return Section(TITLE, [f"The evidence of the best trial could not be kept: {evidence['error']}."])
    classes, groups = read_classes(evidence), read_groups(evidence)
    if classes is not None:
        return _of_classes(best, classes)
    return _of_groups(best, *groups) if groups else None


TITLE = "Predictions of the best trial"


def _of_classes(best: TrialRecord, classes: Classes) -> Section:
    known = sorted((one for one in classes.recalls if one.recall is not None), key=lambda one: one.recall or 0.0)
    columns = 5 if classes.matrix is not None else 3  # the listed form has no more
    rows = [
        (one.name, f"{one.n_rows:,}", number(one.recall), number(one.precision), number(one.pr_auc))[:columns]
        for one in known
    ]
    pairs = [(true, answer, f"{n:,}") for true, answer, n in classes.confused[:MAX_PAIRS]]
    header = ("class", "rows", "recall", "precision", "PR-AUC")[:columns]
    if classes.matrix is not None:
        drawn = [figures.confusion([one.name for one in classes.recalls], classes.matrix)]
    else:
        drawn = [figures.bars("Recall of the classes that are found worst", [(r.name, r.recall or 0.0) for r in known])]
    tables = [Table(header, rows)]
    if pairs:
        tables.append(Table(("true class", "taken for", "times"), pairs))
    return Section(TITLE, [_sentence(best, classes, known)], tables=tables, figures=drawn)


def _sentence(best: TrialRecord, classes: Classes, known: Sequence[Recall]) -> str:
    right = classes.accuracy if classes.accuracy is not None else best.metrics.get(ACCURACY)
    share = "" if right is None else f", {percent(right)} of them rightly"
    text = f"Trial {best.number} answered {classes.n_rows:,} validation rows of {classes.n:,} classes"
    text = f"{text}{share}, after epoch {best.epoch}."
    if known:
        text += f" The lowest recall is {number(known[0].recall)}, of {known[0].name}."
    if classes.confused:
        true, answer, n = classes.confused[0]
        text += f" The most frequent mistake takes {true} for {answer} ({plural(n, 'time')})."
    return text


def read_groups(evidence: dict[str, Any]) -> tuple[str, str, list[tuple[str, float]]] | None:
    """Return what the rows are grouped by, the metric, and each group's value; None without them."""
    try:
        groups = evidence["groups"]
        values = [(str(name), float(value)) for name, value in groups["values"] if value is not None]
        return (str(groups["by"]), str(groups["metric"]), values) if values else None
    except (KeyError, TypeError, ValueError):
        return None


def _of_groups(best: TrialRecord, by: str, metric: str, values: list[tuple[str, float]]) -> Section:
    ordered = sorted(values, key=lambda pair: pair[1])
    (worst, low), (_, high) = ordered[0], ordered[-1]
    text = (
        f"The {metric} of trial {best.number} after epoch {best.epoch} lies between {number(low)} ({by} {worst}) and "
        f"{number(high)}, over {plural(len(values), by)}."
    )
    shown = ordered[:MAX_GROUPS]
    if len(shown) < len(ordered):
        text += f" Shown are the lowest {MAX_GROUPS}."
    table = Table((by, metric), [(name, number(value)) for name, value in shown])
    return Section(TITLE, [text], tables=[table], figures=[figures.bars(f"{metric} of each {by}", shown)])
