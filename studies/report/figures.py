"""The report's drawings, as plotly's JSON. Names that a person chose are escaped: plotly reads some HTML in text."""

from __future__ import annotations

import html
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from studies.names import State
from studies.report.document import Figure
from studies.spec.space import Range
from studies.words import plural, short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from studies.record.study import StudyRecord, TrialRecord
    from studies.report.findings import Compared, Speed, SweepPoint
    from studies.report.interactions import Interaction
    from studies.spec.space import Domain, Value

GREY, BLUE, ORANGE, GREEN, RED = "#a3a9b2", "#3b6ea5", "#e8710a", "#2a8f5b", "#c5403a"
MAX_CURVES = 100  # of each kind; more cannot be told apart, and make the page heavy
MANY_CURVES = 30  # from here on they are thin and without points
MAX_POINTS = 1000
MAX_POINTS_OF_HALF = 600  # of a figure that is half as wide
N_BINS = 8
MIN_IN_BIN = 8  # medians of fewer zigzag
JITTER = 0.18
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
    layout = {"xaxis": {"title": {"text": unit}, **_epoch_ticks(record)}, "yaxis": _metric_axis(record, seen)}
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
         "y": [_rounded(trial.value) for trial in (*steps, *steps[-1:])],
         "line": {"color": ORANGE, "shape": "hv", "width": 2}, "hoverinfo": "skip"},
    ]  # fmt: skip
    if record.spec.repeats > 1:  # the luckiest seed so far is not the best so far
        means = [(trial.number, trial.mean) for trial in trials if trial.mean is not None]
        firsts = [number for number, _ in means]
        data[1] = points("mean of a setting", firsts, [mean for _, mean in means], firsts, ORANGE, size=10)
    axis = _metric_axis(record, (trial.value for trial in trials))
    layout = {"xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"}, "yaxis": axis}
    return Figure("Values in the order of the trials", data, layout)


def parameters(record: StudyRecord, found: Compared, importances: Mapping[str, float | None]) -> list[Figure]:
    """Return each of these parameters against the metric: trials blue, published ones green, the best, or the front,
    orange."""
    best = {trial.number for trial in record.best_trials}
    published = {trial.number for trial in found.trials if trial.published is not None} - best
    searched = "complete" if found.rung is None else f"at {record.unit} {found.rung}"
    kinds = [
        (searched, BLUE, [trial for trial in found.trials if trial.number not in best | published]),
        ("published", GREEN, [trial for trial in found.trials if trial.number in published]),
        ("best", ORANGE, [trial for trial in found.trials if trial.number in best]),
    ]
    axis = _metric_axis(record, (trial.value for trial in found.trials))
    if found.rung is not None:
        axis["title"] = {"text": f"{axis['title']['text']} by {record.unit} {found.rung}"}
    domains = {name: known.domain for name, known in record.space.parameters.items()}
    return [
        _parameter(name, domains.get(name), share, kinds, {"yaxis": axis, "showlegend": False})
        for name, share in importances.items()
    ]


def _parameter(
    name: str,
    domain: Domain | None,
    importance: float | None,
    kinds: Sequence[tuple[str, str, list[TrialRecord]]],
    layout: dict[str, Any],
) -> Figure:
    kinds = [(label, color, [one for one in trials if name in one.params]) for label, color, trials in kinds]
    trials = [trial for _, _, drawn in kinds for trial in drawn]
    place: dict[str, int] = {}
    if not isinstance(domain, Range):
        place = {text: index for index, text in enumerate(_categories(trials, name))}
    data = [
        points(
            label, [_position(trial, name, place) for trial in drawn], [trial.value for trial in drawn],
            [trial.number for trial in drawn], color, size=5 if color == BLUE else 10,
        )
        for label, color, every in kinds
        if (drawn := spread_out(every, MAX_POINTS_OF_HALF))
    ]  # fmt: skip
    data.extend(_medians(trials, name, place))
    share = "" if importance is None else f": {importance:.0%} of the importance"
    axis: dict[str, Any] = {"title": {"text": _short_name(name)}}
    if place:
        texts = [_short_name(text) for text in place]
        axis |= {"tickvals": list(place.values()), "ticktext": texts, "range": [-0.6, len(place) - 0.4]}
    elif isinstance(domain, Range) and domain.log:
        axis |= {"type": "log", "dtick": 1, "exponentformat": "e"}
    return Figure(name + share, data, layout | {"xaxis": axis}, half=True)


def importance(found: dict[str, float]) -> Figure:
    """Return the importances as bars, the largest on top."""
    figure = bars("Importance of each parameter (PED-ANOVA)", list(found.items()))
    figure.layout["xaxis"]["tickformat"] = ".0%"
    return figure


def bars(title: str, values: Sequence[tuple[str, float]]) -> Figure:
    """Return a bar for each name, the first on top."""
    places = list(range(len(values)))
    trace = {"type": "bar", "orientation": "h", "x": [_rounded(value) for _, value in values], "y": places,
             "marker": {"color": BLUE}, "hovertemplate": "%{x:.4~g}<extra></extra>"}  # fmt: skip
    names = [_short_name(name) for name, _ in values]
    layout = {
        "xaxis": {"rangemode": "tozero"},
        "yaxis": {"tickvals": places, "ticktext": names, "automargin": True, "range": [len(places) - 0.4, -0.6]},
        "showlegend": False,
        "height": 90 + 26 * len(places),
    }
    return Figure(title, [trace], layout)


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Return the confusion matrix as shares of each true class, with the counts written in when there is room."""
    shares = [[_rounded(n / max(sum(row), 1)) for n in row] for row in counts]
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
    rounded = [[_rounded(value) for value in row] for row in medians]
    title = f"{found.first.name} and {found.second.name}: median {record.spec.metric.replace('_', ' ')} (trials)"
    figure = _heat_map(title, rounded, texts, found.second.labels, found.first.labels)
    figure.layout["xaxis"]["title"] = {"text": _short_name(found.second.name)}
    figure.layout["yaxis"]["title"] = {"text": _short_name(found.first.name)}
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
        "xaxis": ends | {"tickvals": trace["x"], "ticktext": [_short_name(name) for name in columns]},
        "yaxis": ends
        | {"tickvals": trace["y"], "ticktext": [_short_name(name) for name in rows], "range": [len(rows) - 0.5, -0.5]},
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
        line | {"name": "best of any trial so far", "y": [_rounded(p.best) for p in points], "line": {"color": ORANGE}},
        line | {"name": "median of trials that ran to the end", "y": [_rounded(p.typical) for p in points],
                "line": {"color": BLUE}},
    ]  # fmt: skip
    axis = _metric_axis(record, (point.typical for point in points))
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
        y += [*(_rounded(trial.curve[epoch]) for epoch in epochs), None]
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
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": [_rounded(value) for value in y],
            "customdata": numbers, "hovertemplate": "trial %{customdata}: %{y}<extra></extra>",
            "marker": {"color": color, "size": size, "opacity": 0.65 if size < 8 else 1.0}}  # fmt: skip


def _medians(trials: list[TrialRecord], name: str, place: dict[str, int]) -> list[dict[str, Any]]:
    """Return the marginal: the median of each category, or of bins with as many trials each."""
    if place:
        groups: dict[int, list[float]] = {}
        for trial in trials:
            groups.setdefault(place[short(trial.params[name])], []).append(trial.value or 0.0)
        x: list[float | None] = []
        y: list[float | None] = []
        for index, found in groups.items():
            x += [index - 0.3, index + 0.3, None]
            y += [_rounded(median(found)), _rounded(median(found)), None]
    else:
        given: list[Any] = [trial.params[name] for trial in trials]
        pairs = sorted((float(value), trial.value or 0.0) for value, trial in zip(given, trials, strict=True))
        n_bins = min(N_BINS, len(pairs) // MIN_IN_BIN)
        if n_bins < 3:
            return []
        edges = [len(pairs) * index // n_bins for index in range(n_bins + 1)]
        bins = [pairs[low:high] for low, high in pairwise(edges)]
        x = [_rounded(median(x for x, _ in found)) for found in bins]
        y = [_rounded(median(y for _, y in found)) for found in bins]
    return [{"type": "scatter", "mode": "lines", "name": "median", "x": x, "y": y, "hoverinfo": "skip",
             "line": {"color": "#33383f", "width": 2}}]  # fmt: skip


def _categories(trials: list[TrialRecord], name: str) -> list[str]:
    found = {short(trial.params[name]): trial.params[name] for trial in trials}
    return sorted(found, key=lambda text: _order(found[text], text))


def _order(value: Value, text: str) -> tuple[bool, float, str]:
    is_number = isinstance(value, (int, float))
    return not is_number, float(value) if isinstance(value, (int, float)) else 0.0, text


def _position(trial: TrialRecord, name: str, place: dict[str, int]) -> Any:
    value = trial.params[name]
    if not place:
        return _rounded(value) if isinstance(value, float) else value
    # The same trial stands at the same place in every page.
    return round(place[short(value)] + random.Random(trial.number).uniform(-JITTER, JITTER), 3)  # noqa: S311


def _metric_axis(record: StudyRecord, drawn: Iterable[float | None]) -> dict[str, Any]:
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


def _short_name(text: str) -> str:
    return plain(text if len(text) <= 24 else text[:23] + "…")


def plain(text: str) -> str:
    """Return text that plotly shows as it is: it reads HTML, and a formula between dollars."""
    return html.escape(text, quote=False).replace("$", "&#36;")  # it knows no entity of a quotation mark


def _rounded(value: float | None) -> float | None:
    """Return it with six digits: more cannot be seen, and 5,000 trials have many. What is not finite has no place."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def caption(record: StudyRecord, found: Compared) -> str:
    """Return how to read the parameters' drawings, and what they leave out."""
    n = len(found.trials)
    drawn = f"{plural(min(n, MAX_POINTS_OF_HALF), found.kind)} of {n:,} drawn"
    caption = f"{drawn}: the best one orange, published ones green; the dark line is the median of all."
    caption = caption.replace("the best one", "the front") if len(record.best_trials) > 1 else caption
    return f"{found.told(record.unit)} {caption}".strip()
