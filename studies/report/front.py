"""The report's answer where several metrics count: the Pareto front, as a table and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studies.record.choice import example, front_of
from studies.report import figures
from studies.report.document import Figure, Section, Table
from studies.report.parameters import varies
from studies.words import infeasible, number, plural, short

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord

MAX_ROWS = 100
WIDE = 100  # times: an axis that spans more is logarithmic


def answer(record: StudyRecord) -> Section:
    """Return the trials that no other one dominates, with their values and parameters."""
    front, metrics = record.front, list(record.spec.metrics)
    of_all = f"of {plural(len(record.ranked), 'completed trial')}"
    ranges = front_of(record).ranges
    alone = f"Trial {front[0].number} is as good as every other {of_all} or better, in every metric: {ranges}."
    several = f"No single trial is the best. {len(front)} {of_all} are on the Pareto front: {ranges}."
    texts = [
        alone if len(front) == 1 else f"{several} Whatever is better in one metric is worse in another.",
        "This is one seed each, and so flattered by luck; `studies confirm` with --pick or --trial repeats one of them "
        "under fresh seeds.",
    ]
    texts += [infeasible(record.n_infeasible)] if record.n_infeasible else []
    names = [name for name in record.parameters if varies(record, name)]
    rows = [
        [str(trial.number), *map(number, trial.values), *(short(trial.params.get(name, "-")) for name in names)]
        for trial in front[:MAX_ROWS]
    ]
    notes = [
        f"`studies export {record.typed} --pick '{example(record)}' -o best.yaml` writes the parameters of one.",
        f"Curves, verdicts and parameters below are about {metrics[0]}, the first metric.",
    ]
    drawings = [picture(record, place) for place in range(1, len(metrics))]
    return Section("Answer", texts, tables=[Table(("trial", *metrics, *names), rows)], figures=drawings, notes=notes)


def picture(record: StudyRecord, place: int) -> Figure:
    """Return the front in the plane of the first metric and of another one. place: of that one among the metrics."""
    metrics = list(record.spec.metrics)
    first, other = metrics[0], metrics[place]
    on_front = {trial.number for trial in record.front}
    behind = [trial for trial in record.ranked if trial.number not in on_front]
    drawn = [
        figures.points("behind it", *_plane(figures.spread_out(behind, figures.MAX_POINTS), place), figures.BLUE),
        figures.points("on the front", *_plane(record.front, place), figures.ORANGE, size=10),
    ]
    if len(metrics) == 2:  # a line joins them only where there is no third metric
        drawn[1] |= {"mode": "lines+markers", "line": {"color": figures.ORANGE, "shape": "linear", "width": 1}}
    axes = {"xaxis": _axis(record.ranked, other, place), "yaxis": _axis(record.ranked, first, 0)}
    return Figure(f"{first} and {other} of each completed trial", drawn, axes)


def _plane(trials: list[TrialRecord], place: int) -> tuple[list[float], list[float], list[int]]:
    return (
        [trial.values[place] for trial in trials],
        [trial.values[0] for trial in trials],
        [trial.number for trial in trials],
    )


def _axis(trials: list[TrialRecord], name: str, place: int) -> dict[str, Any]:
    values = [trial.values[place] for trial in trials]
    low, high = min(values), max(values)
    return {"title": {"text": figures.plain(name.replace("_", " "))}} | (
        {"type": "log"} if 0 < low * WIDE < high else {}
    )
