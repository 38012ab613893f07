"""The study that is checked: what the checks ask of it, and what they know so far.

Every training that a check wants to see happens in a process of its own, forked from one and the same state: what one
does to globals, generators or memory does not affect the next.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from statistics import mean
from typing import Any

from studies.check.asked import default_of, middle
from studies.check.isolate import Failure, FailureKind, isolated
from studies.check.observation import Observation, Treatment
from studies.check.observe import Prepared, observe
from studies.check.watch import StopAfter
from studies.metrics import SPEEDS
from studies.run.objective import FunctionObjective
from studies.settings import Settings
from studies.spec.domain import Fixed
from studies.spec.space import Parameter, Space
from studies.words import plural

FIRST_SHARE = 0.3  # of all the time, for the first epoch, which is looked at in every way
FEW_STEPS = 3  # momentum is first seen in the third loss, every other setting before
FEW = StopAfter(steps=FEW_STEPS, batches=2 * FEW_STEPS)
FEW_S, MOST_FEW_S = 2.0, 8.0
LIKELY_SPEEDS = re.compile(rf".*({'|'.join(SPEEDS)}|_ms|_mb|seconds|duration|elapsed|(^|_)time)$")  # by anybody's names
LEAST_S = 1.0  # that a training gets even when no time is left
SLACK_S = 4.0  # for what cannot be interrupted at once


class Subject:
    """See the module. end, deadline: when all checks, and when the present one, should be over, by time.monotonic."""

    def __init__(
        self, prepared: Prepared, settings: Settings, seconds: float, memory_bytes: float | None = None
    ) -> None:
        self.prepared, self.settings = prepared, settings
        self.spec, self.objective = prepared.spec, prepared.objective
        self.data, self.source = prepared.data, prepared.source
        self.seconds = seconds
        self.memory_bytes = memory_bytes
        self.end = time.monotonic() + seconds
        self.deadline = self.end
        self.given_s = seconds
        self.is_function = isinstance(self.objective, FunctionObjective)
        self.tried: list[tuple[Parameter, Any, Observation]] = []
        self._known: dict[str, Observation] = {}
        self._took_s: list[float] = []

    @cached_property
    def space(self) -> Space:
        """The space that is searched; a plain function's is what it suggests at first."""
        return self.first.suggested if self.is_function else self.spec.resolve(self.objective.space)

    @cached_property
    def first(self) -> Observation:
        """One whole epoch at the defaults, with dropout on, looked at in every way."""
        # Nothing is known of a function's epochs but what it reports: it is called to its end.
        treatment = Treatment(seconds=self.first_s, limits=StopAfter(seconds=self.first_s / 3), look=True)
        if self.is_function:
            return self.observe({}, replace(treatment, n_epochs=sys.maxsize))
        return self.observe(self.defaults(), treatment)

    @property
    def first_s(self) -> float:
        """How long the first epoch may take."""
        return self.seconds * FIRST_SHARE

    @property
    def without_steps(self) -> bool:
        """Whether it trains without torch's backward, so that whole epochs are all that can be compared."""
        return not self.first.n_steps

    def defaults(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return these values with every missing one at its default, or in the middle; no dropout is left at zero."""
        values: dict[str, Any] = {}
        for name, parameter in self.space.parameters.items():
            if not parameter.exists(values):
                continue
            default = default_of(parameter)
            if "dropout" in name and default == 0:
                default = middle(parameter.domain)
            values[name] = default if isinstance(parameter.domain, Fixed) else (given or {}).get(name, default)
        return values

    def changed(self, params: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
        """Return these values with another one, and with the parameters that exist under it."""
        changed = dict(params) | {name: value}
        return changed if self.is_function else self.defaults(changed)

    def begin(self, share: float) -> None:
        """Give the next check its share (0 to 1) of the time that is left."""
        self.given_s = max(0.0, self.end - time.monotonic()) * share
        self.deadline = time.monotonic() + self.given_s

    def left_s(self) -> float:
        """Return how much time the present check has left."""
        return self.deadline - time.monotonic()

    def minutes_for(self, missing_s: float) -> int:
        """Return how many minutes, whole ones, all checks need so that the present one has `missing_s` more."""
        spent_s = self.given_s - self.left_s()
        return math.ceil(self.seconds * (spent_s + missing_s) / max(LEAST_S, self.given_s) / 60)

    def mean_s(self) -> float:
        """Return how long a training took on average, of those that the checks tried."""
        return mean(self._took_s) if self._took_s else 0.0

    def observe(self, params: Mapping[str, Any], treatment: Treatment) -> Observation:
        """Return what a training of these parameters does; the same treatment is not done twice."""
        key = json.dumps([dict(params), repr(treatment)], default=str, sort_keys=True)
        if key not in self._known:
            started = time.monotonic()
            left_s = max(LEAST_S, self.left_s())
            hurried, treatment = treatment.seconds > left_s, replace(treatment, seconds=min(treatment.seconds, left_s))
            # Half of the time again for looking at the test rows, when no epoch ended.
            timeout_s = treatment.seconds * (1.5 if treatment.look else treatment.n_trainings) + SLACK_S
            call = partial(observe, self.prepared, params, treatment)
            seen = isolated(call, self.source, timeout_s, self.memory_bytes)
            seen = Observation(dict(params), failure=seen) if isinstance(seen, Failure) else seen
            if hurried and seen.failure is not None and seen.failure.kind is FailureKind.HUNG:
                seen.failure = None  # it had less time than planned
            self._known[key] = seen
            took_s = time.monotonic() - started
            if not treatment.look:
                self._took_s.append(took_s)
            _log(params, treatment, seen, took_s)
        return self._known[key]

    @property
    def few_s(self) -> float:
        """How long a few steps may take."""
        first = self.first
        step_s = first.stepped_s / max(1, first.n_steps - 1)
        return first.start_s + min(MOST_FEW_S, max(FEW_S, first.start_s + 2 * FEW_STEPS * step_s))

    def few_steps(self, params: Mapping[str, Any], **changes: Any) -> Observation:
        """Return what the first steps of a training look like, or its first epoch if it has no steps to be seen."""
        first = self.first
        treatment = Treatment(n_epochs=3, seconds=self.few_s, limits=FEW)
        if self.without_steps:
            treatment = Treatment(seconds=max(FEW_S, 3 * sum(first.epoch_s[:1])), limits=StopAfter(batches=FEW.batches))
        return self.observe(params, replace(treatment, **changes))

    def quick(self, noise: Mapping[str, int], n_trainings: int = 1) -> Observation:
        """Return a whole epoch and its evaluation where that does not take long, else a few steps, at the defaults."""
        params, epoch_s = self.first.params, sum(self.first.epoch_s[:1])
        if self.first.whole and epoch_s < self.seconds / 36:
            return self.whole_epochs(params, 1, noise=noise, n_trainings=n_trainings)
        return self.few_steps(params, noise=noise, n_trainings=n_trainings)

    @cached_property
    def unstable(self) -> frozenset[str]:
        """Metrics that never repeat and need not: those named as speeds are, and what differs though nothing does."""
        one, other = self.quick({}).trajectory, self.quick({"again": 1}).trajectory
        names = {name for epoch in self.first.trajectory.epochs for name in epoch}
        speeds = {name for name in names if LIKELY_SPEEDS.match(name)}
        if one.parts_at_a_loss(other):
            return frozenset(speeds)
        differ = {name for name in names if one.differs(other, frozenset(names - {name}))}
        return frozenset(speeds | differ - {*self.spec.metrics, "value", "result", "train_loss", "validation_loss"})

    def differ(self, one: Observation, other: Observation) -> bool:
        """Whether two trainings go different ways, as far as both go."""
        return one.trajectory.differs(other.trajectory, self.unstable)

    def epochs_s(self, n_epochs: int) -> float:
        """How long so many epochs may take, on a machine that has become busy, too."""
        return SLACK_S + n_epochs * 3 * sum(self.first.epoch_s[:1])

    def whole_epochs(self, params: Mapping[str, Any], n_epochs: int, **changes: Any) -> Observation:
        """Return what whole epochs of a training look like; loaders are cut after the same few batches each time."""
        seconds = min(self.seconds / 6, self.epochs_s(n_epochs))
        treatment = Treatment(n_epochs=n_epochs, seconds=seconds, limits=StopAfter(batches=FEW.batches))
        return self.observe(params, replace(treatment, **changes))


def _log(params: Mapping[str, Any], treatment: Treatment, seen: Observation, seconds: float) -> None:
    """Print what was trained and how it ended; stdout is the check's log."""
    end = f"{seen.failure.kind}: {seen.failure.detail}" if seen.failure else "whole" if seen.whole else "in part"
    print(f"{seconds:6.2f} s, {plural(seen.n_steps, 'step')}, {end}: {dict(params)}; {treatment}", flush=True)
    if seen.failure is not None and seen.failure.trace:
        print(seen.failure.trace, flush=True)
