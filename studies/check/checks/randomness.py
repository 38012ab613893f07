"""Does the same seed give the same values, whatever the process did before?"""

from __future__ import annotations

from collections.abc import Iterator

from studies.check.checks import Check
from studies.check.findings import Finding, Item, NotChecked
from studies.check.observation import Observation
from studies.check.subject import Subject

GENERATORS = {"torch": "torch's global generator", "numpy": "numpy.random", "random": "Python's random"}


class Randomness(Check):
    """Train again: with the process's generators in other states, and a second time in one process."""

    title = "randomness"
    share = 2

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        before = subject.quick({})
        if not before.trajectory or before.failure:
            why = before.failure.detail if before.failure else "no step and no epoch finished in time"
            yield NotChecked(self.title, why)
            return
        yield from _unseeded(subject, before)
        yield from _kept(subject, before)


def _unseeded(subject: Subject, before: Observation) -> Iterator[Item]:
    after = subject.quick(dict.fromkeys(GENERATORS, 1))
    if after.failure or not subject.differ(before, after):
        return
    only_scores = not before.trajectory.parts_at_a_loss(after.trajectory)
    if only_scores and any(seen.name == "dropout-in-evaluation" for seen in subject.first.seen):
        return  # `evaluation` reports it
    guilty = ["system"]
    if not subject.differ(before, subject.quick({"again": 1})):
        guilty = [name for name in GENERATORS if subject.differ(before, subject.quick({name: 1}))]
    where = next((before.draws[name] for name in guilty if before.draws.get(name)), None)
    from_where = " and ".join(GENERATORS.get(name, "the system's randomness, or the clock") for name in guilty)
    values = _values(before, after, subject.unstable)
    yield Finding(
        "unseeded",
        "warning" if subject.is_function else "error",
        what=f"the same parameters and seed gave {values}; the difference comes from {from_where}",
        why="a trial cannot be repeated or resumed, and part of any gain is luck",
        fix="seed every generator from the seed that `start` is given, and draw from those alone"
        if not subject.is_function
        else "seed the generators from trial.user_attrs['seed']; a class with `start` is given its seed",
        where=where,
    )


def _kept(subject: Subject, before: Observation) -> Iterator[Item]:
    twice = subject.quick({}, n_trainings=2)
    if len(twice.trajectories) < 2 or twice.failure:
        yield NotChecked("state kept between trials", "a second training in one process did not reach a step in time")
        return
    one, other = twice.trajectories
    if before.trajectory.differs(one, subject.unstable) or not one.differs(other, subject.unstable):
        return
    start = getattr(subject.objective, "function", None) or type(subject.objective).start
    holder, where = next(iter(twice.holders), ("", subject.source.of(start)))
    kept_by = f" ({holder})" if holder else ""
    first, second = one.parting(other, subject.unstable)
    yield Finding(
        "state-kept-between-trials",
        "error",
        what=f"a second training with the same seed in one process gives {second}, not {first}{kept_by}",
        why="each trial continues what earlier ones trained: the order of the trials decides, not their parameters",
        fix="build the model, the optimizer and the data's order inside `start`, and keep nothing in globals",
        where=where,
    )


def _values(one: Observation, other: Observation, ignored: frozenset[str]) -> str:
    return " and ".join(one.trajectory.parting(other.trajectory, ignored))
