"""The report's section on parameters: how much each matters, what was tried, where the best ones lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studies.report import figures, findings
from studies.report.document import Section, Table, plural, short

if TYPE_CHECKING:
    from studies.report.summary import StudyReport


def parameters(report: StudyReport, found: dict[str, float]) -> Section | None:
    """Return each searched parameter against the metric, the most important first; None when nothing varies."""
    varied = [name for name in report.parameters if varies(report, name)]
    if not varied or not report.ranked:
        return None
    varied.sort(key=lambda name: -found.get(name, 0.0))
    best = report.ranked[0]
    top = report.ranked[: max(findings.N_TOP, len(report.ranked) // 10)]
    rows = [
        (
            name,
            f"{found[name]:.1%}" if name in found else "-",
            _tried(report, name),
            _extent([trial.params[name] for trial in top if name in trial.params]),
            short(best.params[name]) if name in best.params else "-",
        )
        for name in varied
    ]
    header = ("parameter", "importance", "searched", f"in the best {len(top)}", "best")
    drawn = [figures.parameter(report, name, found.get(name)) for name in varied]
    if found:
        drawn.insert(0, figures.importance(found))
        text = (
            "Importance is the share of each parameter in telling the best trials from the rest "
            f"(PED-ANOVA, {plural(len(report.ranked), 'completed trial')})."
        )
        if len(report.ranked) < 50:
            text += " With so few trials it is a hint, no more."
    else:
        text = (
            f"Importances need {findings.MIN_TRIALS_FOR_IMPORTANCE} completed trials; there are {len(report.ranked)}."
        )
    return Section("Parameters", [text], [Table(header, rows)], drawn, [figures.caption(report)])


def varies(report: StudyReport, name: str) -> bool:
    """Return whether trials differ in a parameter."""
    return len({short(trial.params[name]) for trial in report.trials if name in trial.params}) > 1


def _tried(report: StudyReport, name: str) -> str:
    if name in report.space.parameters:
        return str(report.space.parameters[name].domain)
    return _extent([trial.params[name] for trial in report.trials if name in trial.params])


def _extent(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(values) and len(set(numbers)) > 3:
        return f"{short(min(numbers))} to {short(max(numbers))}"
    return ", ".join(f"{text} ({n})" for text, n in Counter(short(value) for value in values).most_common(4)) or "-"
