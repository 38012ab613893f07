"""The report's drawings, as plotly's JSON. Names that a person chose are escaped: plotly reads some HTML in text."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studies.names import State
from studies.report.document import Figure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from studies.record.study import StudyRecord, TrialRecord
    from studies.report.findings import Speed, SweepPoint
    from studies.report.interactions import Interaction

GREY, BLUE, ORANGE, GREEN, RED = "#a3a9b2", "#3b6ea5", "#e8710a", "#2a8f5b", "#c5403a"
MAX_CURVES = 100  # of each kind; more cannot be told apart, and make the page heavy
MANY_CURVES = 30  # from here on they are thin and without points
MAX_POINTS = 1000
MAX_WRITTEN = 20  # classes of a matrix with its counts written in
SHADES = [[0, "#f7f9fc"], [0.5, "#8fb4d9"], [1, "#1d4f8a"]]


def curves(record: StudyRecord) -> Figure:
    """Return one line a trial: pruned ones grey, completed ones blue, the best one, or the front, orange."""
    best = [trial for trial in record.best_trials if trial.curve]
    others = [trial for trial in record.trials if trial.curve and trial.continued_by is None and trial not in best]
    kinds = [
        ("pruned", GREY, [trial for trial in others if trial.state == State.PRUNED]),
        ("failed or running", RED, [trial for trial in others if trial.state not in (State.PRUNED, State.COMPLETE)]),
        ("complete", BLUE, [trial for trial in others if trial.state == State.COMPLETE]),
    ]
    unit = record.unit
    data = [
        _lines(f"{name} ({len(trials)})", spread_out(trials, MAX_CURVES), unit, color, 0.8 if name == "pruned" else 0.6)
        for name, color, trials in kinds
        if trials
    ]
    if best:
        name = f"best (trial {best[0].number})" if len(best) == 1 else f"on the front ({len(best)})"
        data.append(_lines(name, spread_out(best, MAX_CURVES), unit, ORANGE, 1.0, width=3))
    left_out = sum(max(len(trials) - MAX_CURVES, 0) for _, _, trials in kinds)
    title = f"Every trial, {unit} by {unit}" + (f" ({left_out:,} more are not drawn)" if left_out else "")
    seen = (value for trial in record.trials for value in trial.curve.values())
    layout = {"xaxis": {"title": {"text": unit}, **_epoch_ticks(record)}, "yaxis": metric_axis(record, seen)}
    return Figure(title, data, layout)


def values(record: StudyRecord) -> Figure:
    """Return the value of each trial in the order in which they began, and the best so far; of repeats, the means."""
    trials = sorted(record.ranked, key=lambda trial: trial.number)
    drawn = spread_out(trials, MAX_POINTS)
    numbers, sign = [trial.number for trial in drawn], record.sign
    steps: list[TrialRecord] = []  # where the best so far changes; the line lies flat between two
    for trial in trials:
        if not steps or sign * (trial.value or 0.0) > sign * (steps[-1].value or 0.0):
            steps.append(trial)
    data = [
        points("complete", numbers, [trial.value for trial in drawn], numbers, BLUE),
        {"type": "scatter", "mode": "lines", "name": "best so far",
         "x": [*(trial.number for trial in steps), *numbers[-1:]],
         "y": [rounded(trial.value) for trial in (*steps, *steps[-1:])],
         "line": {"color": ORANGE, "shape": "hv", "width": 2}, "hoverinfo": "skip"},
    ]  # fmt: skip
    if record.spec.repeats > 1:  # the luckiest seed so far is not the best so far
        means = [(trial.number, trial.mean) for trial in trials if trial.mean is not None]
        firsts = [number for number, _ in means]
        data[1] = points("mean of a setting", firsts, [mean for _, mean in means], firsts, ORANGE, size=10)
    axis = metric_axis(record, (trial.value for trial in trials))
    layout = {"xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"}, "yaxis": axis}
    return Figure("Values in the order of the trials", data, layout)


def importance(found: dict[str, float]) -> Figure:
    """Return the importances as bars, the largest on top."""
    figure = bars("Importance of each parameter (PED-ANOVA)", list(found.items()))
    figure.layout["xaxis"]["tickformat"] = ".0%"
    return figure


def bars(title: str, values: Sequence[tuple[str, float]]) -> Figure:
    """Return a bar for each name, the first on top."""
    places = list(range(len(values)))
    trace = {"type": "bar", "orientation": "h", "x": [rounded(value) for _, value in values], "y": places,
             "marker": {"color": BLUE}, "hovertemplate": "%{x:.4~g}<extra></extra>"}  # fmt: skip
    names = [short_name(name) for name, _ in values]
    layout = {
        "xaxis": {"rangemode": "tozero"},
        "yaxis": {"tickvals": places, "ticktext": names, "automargin": True, "range": [len(places) - 0.4, -0.6]},
        "showlegend": False,
        "height": 90 + 26 * len(places),
    }
    return Figure(title, [trace], layout)


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Return the confusion matrix as shares of each true class, with the counts written in when there is room."""
    shares = [[rounded(n / max(sum(row), 1)) for n in row] for row in counts]
    texts = [[f"{n:,}" for n in row] for row in counts] if len(names) <= MAX_WRITTEN else None
    figure = _heat_map("Confusion matrix: shares of each true class", shares, texts, names, names)
    figure.layout["xaxis"]["title"] = {"text": "answer"}
    figure.layout["yaxis"]["title"] = {"text": "true class"}
    figure.layout["height"] = min(200 + 34 * len(names), 900)
    figure.data[0].update(zmin=0, zmax=1)
    return figure


def interaction(record: StudyRecord, found: Interaction, values: npt.NDArray[np.float64]) -> Figure:
    """Return the median of the metric by the levels of two parameters, and how many trials each is of."""
    medians, counts = found.cells(values)
    texts = [
        ["" if value is None else f"{value:.4g} ({n})" for value, n in zip(*row, strict=True)]
        for row in zip(medians, counts, strict=True)
    ]
    shown = [[rounded(value) for value in row] for row in medians]
    title = f"{found.first.name} and {found.second.name}: median {record.spec.metric.replace('_', ' ')} (trials)"
    figure = _heat_map(title, shown, texts, found.second.labels, found.first.labels)
    figure.layout["xaxis"]["title"] = {"text": short_name(found.second.name)}
    figure.layout["yaxis"]["title"] = {"text": short_name(found.first.name)}
    figure.data[0]["reversescale"] = record.sign < 0
    return replace(figure, half=True)


def _heat_map(
    title: str,
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]] | None,
    columns: Sequence[str],
    rows: Sequence[str],
) -> Figure:
    trace: dict[str, Any] = {"type": "heatmap", "z": values, "colorscale": SHADES, "showscale": texts is None,
             "x": list(range(len(columns))), "y": list(range(len(rows))), "xgap": 1, "ygap": 1,
             "hovertemplate": "%{y}, %{x}: %{z}<extra></extra>"}  # fmt: skip
    if texts is not None:
        trace |= {"text": texts, "texttemplate": "%{text}"}
    ends = {"showgrid": False, "automargin": True}
    layout = {
        "xaxis": ends | {"tickvals": trace["x"], "ticktext": [short_name(name) for name in columns]},
        "yaxis": ends
        | {"tickvals": trace["y"], "ticktext": [short_name(name) for name in rows], "range": [len(rows) - 0.5, -0.5]},
    }
    return Figure(title, [trace], layout)


def speed(found: Sequence[Speed]) -> list[Figure]:
    """Return time, examples a second and memory by batch size."""
    found = [one for one in found if one.batch_size is not None]
    sizes = [str(one.batch_size) for one in found]
    drawn: list[tuple[str, list[float | None]]] = [
        ("Seconds for an epoch, by batch size", [one.epoch_s for one in found]),
        ("Training examples a second, by batch size", [one.examples_per_s for one in found]),
        ("Peak memory in MiB, by batch size", [one.peak_memory_mib for one in found]),
    ]
    drawn = [(title, values) for title, values in drawn if any(values)]
    axis = {"type": "category", "title": {"text": "batch size"}}
    axes: dict[str, Any] = {"xaxis": axis, "yaxis": {"rangemode": "tozero"}, "showlegend": False}
    bar: dict[str, Any] = {
        "type": "bar",
        "marker": {"color": BLUE},
        "width": 0.5,
        "hovertemplate": "%{y:,.4~g}<extra></extra>",
    }
    return [Figure(title, [bar | {"x": sizes, "y": ys}], axes, half=True) for title, ys in drawn]


def sweep(record: StudyRecord, points: Sequence[SweepPoint]) -> Figure:
    """Return the best value by epoch, and the typical completed trial."""
    epochs = [point.epoch for point in points]
    line: dict[str, Any] = {"type": "scatter", "mode": "lines+markers", "x": epochs}
    data = [
        line | {"name": "best of any trial so far", "y": [rounded(p.best) for p in points], "line": {"color": ORANGE}},
        line | {"name": "median of trials that ran to the end", "y": [rounded(p.typical) for p in points],
                "line": {"color": BLUE}},
    ]  # fmt: skip
    axis = metric_axis(record, (point.typical for point in points))
    layout = {"xaxis": {"title": {"text": record.unit}, **_epoch_ticks(record)}, "yaxis": axis}
    return Figure("What each number of epochs gives", data, layout)


def spread_out(items: list[Any], most: int) -> list[Any]:
    """Return at most this many of them, evenly from first to last."""
    if len(items) <= most:
        return items
    return [items[index * (len(items) - 1) // (most - 1)] for index in range(most)]


def _lines(
    name: str, trials: list[TrialRecord], unit: str, color: str, opacity: float, width: float = 1.3
) -> dict[str, Any]:
    """Return one trace of many curves, with gaps between: hundreds of traces would draw slowly."""
    x: list[int | None] = []
    y: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        epochs = spread_out(sorted(trial.curve), 100)
        x += [*epochs, None]
        y += [*(rounded(trial.curve[epoch]) for epoch in epochs), None]
        numbers += [*(trial.number for _ in epochs), None]
    many = len(trials) > MANY_CURVES
    return {"type": "scatter", "mode": "lines" if many else "lines+markers", "name": name, "x": x, "y": y,
            "line": {"color": color, "width": 0.8 if many else width}, "marker": {"size": 3 + width},
            "opacity": opacity, "customdata": numbers,
            "hovertemplate": f"trial %{{customdata}}, {unit} %{{x}}: %{{y}}<extra></extra>"}  # fmt: skip


def points(
    name: str, x: Sequence[Any], y: Sequence[float | None], numbers: Sequence[int], color: str, size: int = 5
) -> dict[str, Any]:
    """Return one trace of points. numbers: of the trials."""
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": [rounded(value) for value in y],
            "customdata": numbers, "hovertemplate": "trial %{customdata}: %{y}<extra></extra>",
            "marker": {"color": color, "size": size, "opacity": 0.65 if size < 8 else 1.0}}  # fmt: skip


def metric_axis(record: StudyRecord, drawn: Iterable[float | None]) -> dict[str, Any]:
    """Return the axis of the metric, without the far end of what went badly when that would flatten the rest."""
    axis: dict[str, Any] = {"title": {"text": plain(record.spec.metric.replace("_", " "))}}
    sign = record.sign
    seen = sorted(sign * value for value in drawn if value is not None and math.isfinite(value))
    if len(seen) < 10:
        return axis
    low, usual, high = seen[0], seen[len(seen) // 20], seen[-1]
    if high - low > 3 * (high - usual) > 0:
        margin = 0.05 * (high - usual)
        ends = sorted([sign * (usual - margin), sign * (high + margin)])
        axis["range"] = ends
    return axis


def _epoch_ticks(record: StudyRecord) -> dict[str, Any]:
    if record.is_function:
        return {}
    most = record.spec.max_epochs
    return {"dtick": 1, "range": [0.6, most + 0.4]} if 1 < most <= 20 else {}


def short_name(text: str) -> str:
    """Return a name of a parameter, a class or a value as there is room for it at an axis."""
    return plain(text if len(text) <= 24 else text[:23] + "…")


def plain(text: str) -> str:
    """Return text that plotly shows as it is: it reads HTML, and a formula between dollars."""
    return html.escape(text, quote=False).replace("$", "&#36;")  # it knows no entity of a quotation mark


def rounded(value: float | None) -> float | None:
    """Return it with six digits: more cannot be seen, and 5,000 trials have many. What is not finite has no place."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
