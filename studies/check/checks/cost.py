"""What the study will cost, and whether its trials fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean
from typing import Any

from studies.check.checks import Check
from studies.check.checks.training import fails
from studies.check.findings import Fact, Finding, Item, NotChecked
from studies.check.isolate import SHARE_OF_MEMORY, FailureKind, free_bytes
from studies.check.observation import Observation, Treatment
from studies.check.pruned import typical_share
from studies.check.subject import FEW, Subject
from studies.names import UNLIMITED
from studies.run.placement import visible_gpus
from studies.spec import StudySpec
from studies.words import plural

GIB = 2**30
EXTREME_S = 4.0
NOISE = 1.3  # a ratio of two short durations that means nothing


class Cost(Check):
    """Time the first epoch; train the smallest and the largest trial for a few steps."""

    title = "memory and cost"
    share = 1
    after = ("parameters",)

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        yield from _memory(subject)
        yield from _cost(subject)


def _memory(subject: Subject) -> Iterator[Item]:
    largest = _extreme(subject, max)
    smallest = _extreme(subject, min)
    for name, params in (("largest", largest), ("smallest", smallest)):
        if subject.left_s() < 0:
            yield NotChecked(f"the {name} trial", "there was no time left")
            continue
        plan = Treatment(seconds=EXTREME_S, limits=FEW)
        seen = subject.observe(params, plan)
        given = ", ".join(f"{key} {value}" for key, value in params.items() if value != subject.first.params.get(key))
        if seen.failure is not None and seen.failure.kind is FailureKind.OUT_OF_MEMORY:
            yield Finding(
                "memory",
                "error",
                what=f"the {name} trial ({given}) does not fit: {seen.failure.detail}",
                why=f"{free_bytes() / GIB:.1f} GiB are free here; such trials fail, and samplers suggest them again",
                fix="narrow what makes it large in the study file's `space`, or use a machine with more memory",
                where=seen.failure.where,
            )
        elif seen.failure is not None and seen.failure.kind is FailureKind.HUNG:
            yield NotChecked(f"the {name} trial", f"{given or 'the defaults'}: {seen.failure.detail}")
        elif seen.failure is not None:
            yield fails(seen.failure, f"with {given or 'the defaults'}")
        else:
            share = seen.peak_bytes / max(1.0, free_bytes() * SHARE_OF_MEMORY)
            size = f"{seen.peak_bytes / GIB:.2f} GiB of memory ({'it fits' if share < 1 else 'it does not fit'})"
            yield Fact(f"{name} trial", f"{size}: {given or 'the defaults'}")
    if visible_gpus() and subject.spec.resources.gpus_per_worker:
        yield NotChecked("the GPU's memory", "everything was measured on the CPU")


def _extreme(subject: Subject, most: Any) -> dict[str, Any]:
    """Return the values that take the most memory each, or the least; the default where it makes no difference."""
    params = dict(subject.first.params)
    by_name: dict[str, list[tuple[float, Any]]] = {}
    for parameter, value, seen in subject.tried:
        if not parameter.when and (seen.failure is None or seen.failure.kind is FailureKind.OUT_OF_MEMORY):
            size = math.inf if seen.failure else seen.peak_bytes
            by_name.setdefault(parameter.name, []).append((size, value))
    for name, sizes in by_name.items():
        low, high = min(size for size, _ in sizes), max(size for size, _ in sizes)
        if high > 1.1 * low + GIB / 50:  # less is the noise of an allocator
            params[name] = most(sizes, key=lambda pair: pair[0])[1]
    if subject.is_function:
        return params
    return subject.defaults(params)


def _cost(subject: Subject) -> Iterator[Item]:
    spec, n_trials = subject.spec, _n_trials(subject)
    trial_s, how = _trial_s(subject)
    if trial_s is None:
        yield NotChecked("the cost", how)
        return
    factor = _average_factor(subject)
    average = f"; {factor:.1f} times that on average over the space" if factor != 1 else ""
    yield Fact("one trial" if subject.is_function else "one epoch", f"{how}, on one CPU thread{average}")
    if n_trials == UNLIMITED:
        yield _trials_in(spec, trial_s * factor)
        return
    hours = trial_s * factor * n_trials / 3600
    length = "" if subject.is_function else f" x {plural(spec.max_epochs, 'epoch')}"
    cost = f"{plural(n_trials, 'trial')}{length}: {_time(hours * 3600)} with pruning off"
    share = 1.0 if subject.is_function else typical_share(spec.pruner, spec.max_epochs, n_trials)
    if share < 1:
        cost += f"; about {_time(hours * share * 3600)} with {spec.pruner.name}, typically {share:.0%} of the epochs"
    yield Fact("the study", f"{cost}; one worker, one CPU thread")
    yield from _limits(spec, n_trials, hours * share, trial_s * factor)


def _trials_in(spec: StudySpec, trial_s: float) -> Fact:
    """Return how many trials the study's hours are enough for."""
    hours = spec.limits.hours or 0.0
    n_trials = hours * 3600 / trial_s
    share = typical_share(spec.pruner, spec.max_epochs, max(1, round(n_trials)))
    pruned = f"; about {n_trials / share:.0f} with {spec.pruner.name}" if share < 1 else ""
    whole = plural(round(n_trials), "whole trial")
    return Fact("the study", f"{hours:g} h: some {whole}{pruned}; one worker, one CPU thread")


def _n_trials(subject: Subject) -> int:
    """Return how many trials there will be: no more than the space has settings."""
    every = None if subject.is_function else subject.space.settings()
    return min(subject.spec.n_trials or UNLIMITED, UNLIMITED if every is None else len(every))


def _trial_s(subject: Subject) -> tuple[float | None, str]:
    """Return how long a trial at the defaults takes, and what was measured of it; or None, and why not."""
    first, n_epochs = subject.first, subject.spec.max_epochs
    if subject.is_function:
        trial_s = sum(first.epoch_s)
        return (trial_s, f"{_time(trial_s)} at the middle") if first.whole else (None, "one call takes too long here")
    if first.epoch_s:
        return first.start_s + n_epochs * first.epoch_s[0], f"{_time(first.epoch_s[0])} at the defaults"
    rows = (getattr(subject.data, "summary", None) or {}).get("train")
    if not rows or not first.n_rows:
        return None, f"one epoch takes more than {subject.first_s:.0f} s, and how much more is unclear"
    epoch_s = rows * first.stepped_s / first.n_rows
    how = f"{_time(epoch_s)} of training at the defaults, estimated from {first.n_rows} of {rows} rows"
    return first.start_s + n_epochs * epoch_s, how


def _average_factor(subject: Subject) -> float:
    """Return how much longer than the defaults a trial takes on average, taking its parameters to act independently."""
    by_name: dict[str, list[float]] = {}
    for parameter, _, seen in subject.tried:
        if (speed := _seconds_per_row(seen)) is not None:
            by_name.setdefault(parameter.name, []).append(speed)
    # The first that was tried of each is the default.
    factors = [mean(speeds) / speeds[0] for speeds in by_name.values() if speeds[0] > 0]
    return math.prod(factor for factor in factors if not 1 / NOISE < factor < NOISE)


def _seconds_per_row(seen: Observation) -> float | None:
    """Return a step's time per row, or that of whole epochs where no steps were seen.

    Of the CPU, not by the clock: on a busy machine two short durations by the clock have no ratio.
    """
    if seen.failure is not None:
        return None
    if seen.n_rows:
        return seen.stepped_cpu_s / seen.n_rows
    return seen.cpu_s / len(seen.epoch_s) if seen.epoch_s and not seen.n_steps else None


def _limits(spec: StudySpec, n_trials: int, hours: float, trial_s: float) -> Iterator[Item]:
    limits = spec.limits
    if limits.gpu_hours is not None and hours > limits.gpu_hours:
        yield Finding(
            "over-its-limit",
            "warning",
            what=f"the study needs about {_time(hours * 3600)} here and stops at {limits.gpu_hours:g} gpu_hours",
            why=f"here it ends after some {n_trials * limits.gpu_hours / hours:.0f} of {plural(n_trials, 'trial')}",
            fix="raise limits.gpu_hours, or lower n_trials or max_epochs",
        )
    if limits.trial_minutes is not None and trial_s > limits.trial_minutes * 60:
        yield Finding(
            "over-its-limit",
            "warning",
            what=f"a trial needs about {_time(trial_s)} here and ends at {limits.trial_minutes:g} minutes",
            why="its value is that of the epochs it had, which are fewer for slow settings",
            fix="raise limits.trial_minutes, or lower max_epochs",
        )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
