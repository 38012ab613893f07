"""Does the same seed give the same values, whatever the process did before?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from studies.check.findings import Finding, NotChecked, Told
from studies.check.observe import Observation
from studies.check.subject import Subject

TITLE = "randomness"
NEEDS_TRAINING = True

GENERATORS = {"torch": "torch's global generator", "numpy": "numpy.random", "random": "Python's random"}
SPEEDS = re.compile(r".*(_per_s|_s|_ms|_mib|_mb|seconds|duration|elapsed|(^|_)time)$")


def speeds(*observations: Observation) -> frozenset[str]:
    """Return the metrics that are durations or sizes, which never repeat."""
    names = {name for seen in observations for epoch in seen.trajectory.epochs for name in epoch}
    return frozenset(name for name in names if SPEEDS.match(name))


def check(subject: Subject) -> Iterator[Told]:
    """Train again: with the process's generators in other states, and a second time in one process."""
    before = _train(subject, {})
    if not before.trajectory or before.failure:
        why = before.failure.detail if before.failure else "no step and no epoch ended in time"
        yield NotChecked(TITLE, why)
        return
    yield from _unseeded(subject, before)
    yield from _kept(subject, before)


def _train(subject: Subject, noise: Mapping[str, int], n_trainings: int = 1) -> Observation:
    """Train a whole epoch and its evaluation where that is quick, else a few steps."""
    params = subject.first.params
    quick = subject.first.whole and sum(subject.first.epoch_s[:1]) * 6 < subject.seconds / 6
    if quick:
        return subject.whole_epochs(params, 1, noise=noise, n_trainings=n_trainings)
    return subject.few_steps(params, noise=noise, n_trainings=n_trainings)


def _differ(one: Observation, other: Observation) -> bool:
    return one.trajectory.differs(other.trajectory, speeds(one, other))


def _unseeded(subject: Subject, before: Observation) -> Iterator[Told]:
    after = _train(subject, dict.fromkeys(GENERATORS, 1))
    if after.failure or not _differ(before, after):
        return
    only_scores = not before.trajectory.parts_at_a_loss(after.trajectory)
    if only_scores and any(seen.name == "dropout-in-evaluation" for seen in subject.first.seen):
        return  # told already
    guilty = ["system"]
    if not _differ(before, _train(subject, {"again": 1})):
        guilty = [name for name in GENERATORS if _differ(before, _train(subject, {name: 1}))]
    where = next((before.draws[name] for name in guilty if before.draws.get(name)), None)
    from_where = " and ".join(GENERATORS.get(name, "the system's randomness, or the clock") for name in guilty)
    values = _values(before, after)
    yield Finding(
        "unseeded",
        "warning" if subject.is_function else "error",
        f"the same parameters and seed gave {values}; the difference comes from {from_where}",
        "a trial cannot be repeated or resumed, and part of any gain is luck",
        "seed every generator from the seed that `start` is given, and draw from those alone"
        if not subject.is_function
        else "seed the generators from trial.user_attrs['seed']; a class with `start` is given its seed",
        where,
    )


def _kept(subject: Subject, before: Observation) -> Iterator[Told]:
    twice = _train(subject, {}, n_trainings=2)
    if len(twice.trajectories) < 2 or twice.failure:
        yield NotChecked("state kept between trials", "a second training in one process did not come to a step in time")
        return
    one, other = twice.trajectories
    if before.trajectory.differs(one, speeds(before)) or not one.differs(other, speeds(twice)):
        return
    start = getattr(subject.objective, "function", None) or type(subject.objective).start
    holder, where = next(iter(twice.holders), ("", subject.source.of(start)))
    kept_by = f" ({holder})" if holder else ""
    first, second = _first_value(one), _first_value(other)
    yield Finding(
        "state-kept-between-trials",
        "error",
        f"a second training with the same seed in one process gives {second}, not {first}{kept_by}",
        "each trial continues what earlier ones trained: the order of the trials decides, not their parameters",
        "build the model, the optimizer and the data's order inside `start`, and keep nothing in globals",
        where,
    )


def _values(one: Observation, other: Observation) -> str:
    return f"{_first_value(one.trajectory, other.trajectory)} and {_first_value(other.trajectory, one.trajectory)}"


def _first_value(trajectory: Any, other: Any = None) -> str:
    """Return the first loss or metric in which a trajectory differs from another one, or its first."""
    for step, loss in enumerate(trajectory.losses):
        if other is None or (step < len(other.losses) and loss != other.losses[step]):
            return f"a loss of {loss:.6g} at step {step + 1}"
    for number, epoch in enumerate(trajectory.epochs):
        for name, value in epoch.items():
            if SPEEDS.match(name):
                continue
            if other is None or (number < len(other.epochs) and other.epochs[number].get(name) != value):
                return f"{name} {value:.6g} in epoch {number + 1}"
    return "nothing"
