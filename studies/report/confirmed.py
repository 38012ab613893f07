"""The best few under fresh seeds: which is best, and how sure that is, as sentences, a table and a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studies.report.document import Figure, Section, Table
from studies.report.figures import BLUE, ORANGE
from studies.search.paired import SAME
from studies.search.race import ERROR, NO_DIFFERENCE, UNFINISHED
from studies.words import number, plural

if TYPE_CHECKING:
    from studies.record.study import StudyRecord
    from studies.search.race import Standing

SURE = f"{1 - ERROR:.0%} confidence"


def section(record: StudyRecord) -> Section | None:
    """Return the contenders' results; None before `studies confirm`."""
    if record.confirmation is None:
        return None
    if record.spec.has_several:
        note = "Every trial here trained under the same seeds, none of which it was chosen by."
        return Section("Under fresh seeds", sentences(record), tables=[_means(record)], notes=[note])
    note = (
        "Every contender trained under the same seeds, none of which it was chosen by; differences are between values "
        f"of one seed, and their intervals hold together with {SURE} where the differences are about normal."
    )
    return Section(
        "Under fresh seeds", sentences(record), tables=[table(record)], figures=[_values(record)], notes=[note]
    )


def table(record: StudyRecord) -> Table:
    """Return one contender a row, the best first."""
    found = record.confirmation
    assert found is not None
    if record.spec.has_several:
        return _means(record)
    searched = {trial.number: trial.value for trial in record.trials}
    rows = [
        (
            _name(one),
            str(len(one.values)),
            number(one.mean),
            number(one.sd),
            _difference(one),
            one.verdict,
            number(searched.get(one.trial)),
        )
        for one in found.standings
    ]
    header = ("contender", "seeds", f"mean {record.spec.metric}", "sd", "to the best", "verdict", "in the search")
    return Table(header, rows, frozenset([0] if found.winner else []))


def _means(record: StudyRecord) -> Table:
    """Return mean and standard deviation of each of several metrics, a trial a row."""
    found = record.confirmation
    assert found is not None
    searched = {trial.number: trial for trial in record.trials}
    metrics = list(record.spec.metrics)
    rows = []
    for one in found.standings:
        cells = [f"{number(mean)} (sd {number(sd)})" for mean, sd in one.spreads] or ["-"] * len(metrics)
        rows.append([_name(one), str(len(one.values)), *cells, one.verdict, *map(number, searched[one.trial].values)])
    header = (
        "trial",
        "seeds",
        *(f"mean {name}" for name in metrics),
        "",
        *(f"{name} in the search" for name in metrics),
    )
    return Table(header, rows)


def _spreads(record: StudyRecord, one: Standing) -> str:
    spreads = zip(record.spec.metrics, one.spreads, strict=True)
    means = " and ".join(f"a mean {name} of {number(mean)} (sd {number(sd)})" for name, (mean, sd) in spreads)
    return f"Trial {one.trial} has {means} under {plural(len(one.values), 'fresh seed')}."


def sentences(record: StudyRecord) -> list[str]:
    """Return who won and how sure that is, and given against found."""
    found = record.confirmation
    assert found is not None
    winner = found.winner
    if not found.finished:
        left = sum(one.verdict == UNFINISHED for one in found.standings)
        return [f"{plural(left, 'contender')} not done yet; `studies confirm {record.typed}` goes on."]
    if record.spec.has_several:
        return [_spreads(record, one) for one in found.came_through] or ["No trial came through all seeds."]
    if winner is None:
        return [f"No contender came through all {found.n_seeds} seeds."]
    decided = of_given(record)
    texts = [_verdict(found.standings, winner, found.n_seeds, record), *([decided] if decided else [])]
    if found.is_repeatable:
        texts = [_of_no_seed(winner, found.n_seeds, record)]
    elif record.is_function:
        texts.append(
            'The objective is a plain function, which has its seed only where it reads `trial.user_attrs["seed"]`. '
            "Where it does not, these are plain repeats: what differs is chance, but not the seed's."
        )
    if record.confirmed is None:
        texts.append(f"The search has found something better since; `studies confirm {record.typed}` takes it in.")
    return texts


def _verdict(standings: list[Standing], winner: Standing, n_seeds: int, record: StudyRecord) -> str:
    mean = f"a mean {record.spec.metric} of {number(winner.mean)} (sd {number(winner.sd)}, {n_seeds} fresh seeds)"
    if len(standings) == 1:
        return f"Trial {winner.trial}, the only contender, has {mean}."
    tied = [one for one in standings if one.may_be_best]
    if len(tied) == 1:
        return f"Trial {winner.trial} is the best of {len(standings)} with {SURE}: {mean}."
    if len(tied) == len(standings):
        among = f"the {len(tied)} contenders"
    elif tied == standings[: len(tied)]:
        among = f"the first {len(tied)} of {len(standings)} contenders"
    else:
        among = "trials " + ", ".join(str(one.trial) for one in tied)
    return f"No difference between {among} is shown: any of them may be the best. Trial {winner.trial} has {mean}."


def _of_no_seed(winner: Standing, n_seeds: int, record: StudyRecord) -> str:
    unread = ' It is a plain function, which has its seed only where it reads `trial.user_attrs["seed"]`.'
    return (
        f"Seeds mean nothing here: each contender had the same {record.spec.metric} under all {n_seeds} of them, so "
        f"this says no more than the search did. Trial {winner.trial} has {number(winner.mean)}."
        + (unread if record.is_function else "")
    )


def of_given(record: StudyRecord) -> str | None:
    """Return the verdict between the best of `start_with` and the winner; None where they were not compared."""
    found = record.confirmation
    winner = found.winner if found else None
    given = next((one for one in found.standings if one.given), None) if found else None
    if winner is None or given is None or given.mean is None:
        return None
    if given is winner:
        return f"The best contender is of `start_with` (trial {given.trial}): the search found nothing better."
    if given.difference is None:
        return None
    better = "what the search found is better"
    shown = "that is no difference that could be shown" if given.verdict == NO_DIFFERENCE else better
    return (
        f"The best of `start_with` (trial {given.trial}) has a mean of {number(given.mean)}, "
        f"{_difference(given)} to trial {winner.trial} over the same {plural(given.difference.n, 'seed')}: {shown}."
    )


def _name(one: Standing) -> str:
    return f"trial {one.trial}" + (", given" if one.given else "")


def _difference(one: Standing) -> str:
    if one.difference is None:
        return "-"
    mean, low, high = one.difference.mean, one.difference.low, one.difference.high
    if high - low <= SAME * abs(mean):
        return f"{_signed(mean)} under every seed"
    return f"{_signed(mean)} ({_signed(low)} to {_signed(high)})"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def _values(record: StudyRecord) -> Figure:
    assert record.confirmation is not None
    standings = [one for one in record.confirmation.standings if one.values]
    names = [_name(one) for one in standings]
    points = [(name, value) for name, one in zip(names, standings, strict=True) for value in one.values.values()]
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "markers", "name": "one seed", "x": [x for x, _ in points],
         "y": [y for _, y in points], "marker": {"color": BLUE, "size": 6, "opacity": 0.65}},
        {"type": "scatter", "mode": "markers", "name": "mean", "x": names, "y": [one.mean for one in standings],
         "marker": {"color": ORANGE, "size": 16, "symbol": "line-ew-open", "line": {"width": 3}}},
    ]  # fmt: skip
    layout = {"xaxis": {"type": "category"}, "yaxis": {"title": {"text": record.spec.metric.replace("_", " ")}}}
    return Figure("Each contender under each fresh seed", data, layout)
