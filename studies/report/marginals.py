"""Each parameter against the metric: a point for a trial, and the marginal, which is the median of all."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from studies.report import figures
from studies.report.document import Figure
from studies.spec.domain import Range
from studies.words import plural, short

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord
    from studies.report.findings import Compared
    from studies.spec.domain import Domain
    from studies.spec.values import Value

MAX_POINTS = 600  # of a figure that is half as wide as others
N_BINS = 8
MIN_IN_BIN = 8  # medians of fewer zigzag
JITTER = 0.18


def parameters(record: StudyRecord, found: Compared, importances: Mapping[str, float | None]) -> list[Figure]:
    """Return each of these parameters against the metric.

    Trials are blue, those of `start_with` green, and the best or the front orange.
    """
    best = {trial.number for trial in record.best_trials}
    given = _given(record, found)
    searched = "complete" if found.rung is None else f"at {record.unit} {found.rung}"
    kinds = [
        (searched, figures.BLUE, [trial for trial in found.trials if trial.number not in best | given]),
        ("given", figures.GREEN, [trial for trial in found.trials if trial.number in given]),
        ("best", figures.ORANGE, [trial for trial in found.trials if trial.number in best]),
    ]
    axis = figures.metric_axis(record, (trial.value for trial in found.trials))
    if found.rung is not None:
        axis["title"] = {"text": f"{axis['title']['text']} by {record.unit} {found.rung}"}
    domains = {name: known.domain for name, known in record.space.parameters.items()}
    return [
        _parameter(name, domains.get(name), share, kinds, {"yaxis": axis, "showlegend": False})
        for name, share in importances.items()
    ]


def caption(record: StudyRecord, found: Compared) -> str:
    """Return how to read the parameters' drawings, and what they leave out."""
    n = len(found.trials)
    drawn = f"{plural(min(n, MAX_POINTS), found.kind)} of {n:,} drawn"
    green = ", those of `start_with` green" if _given(record, found) else ""
    caption = f"{drawn}: the best one orange{green}; the dark line is the median of all."
    caption = caption.replace("the best one", "the front") if len(record.best_trials) > 1 else caption
    return f"{found.told(record.unit)} {caption}".strip()


def _given(record: StudyRecord, found: Compared) -> set[int]:
    """Return the trials of `start_with` that are not the best."""
    best = {trial.number for trial in record.best_trials}
    return {trial.number for trial in found.trials if trial.given is not None} - best


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
        figures.points(
            label, [_position(trial, name, place) for trial in drawn], [trial.value for trial in drawn],
            [trial.number for trial in drawn], color, size=5 if color == figures.BLUE else 10,
        )
        for label, color, every in kinds
        if (drawn := figures.spread_out(every, MAX_POINTS))
    ]  # fmt: skip
    data.extend(_medians(trials, name, place))
    share = "" if importance is None else f": {importance:.0%} of the importance"
    axis: dict[str, Any] = {"title": {"text": figures.short_name(name)}}
    if place:
        texts = [figures.short_name(text) for text in place]
        axis |= {"tickvals": list(place.values()), "ticktext": texts, "range": [-0.6, len(place) - 0.4]}
    elif isinstance(domain, Range) and domain.log:
        axis |= {"type": "log", "dtick": 1, "exponentformat": "e"}
    return Figure(name + share, data, layout | {"xaxis": axis}, half=True)


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
            y += [figures.rounded(median(found)), figures.rounded(median(found)), None]
    else:
        given: list[Any] = [trial.params[name] for trial in trials]
        pairs = sorted((float(value), trial.value or 0.0) for value, trial in zip(given, trials, strict=True))
        n_bins = min(N_BINS, len(pairs) // MIN_IN_BIN)
        if n_bins < 3:
            return []
        edges = [len(pairs) * index // n_bins for index in range(n_bins + 1)]
        bins = [pairs[low:high] for low, high in pairwise(edges)]
        x = [figures.rounded(median(x for x, _ in found)) for found in bins]
        y = [figures.rounded(median(y for _, y in found)) for found in bins]
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
        return figures.rounded(value) if isinstance(value, float) else value
    # The same trial stands at the same place in every page.
    return round(place[short(value)] + random.Random(trial.number).uniform(-JITTER, JITTER), 3)  # noqa: S311
