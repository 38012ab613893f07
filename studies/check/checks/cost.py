"""What the study will cost, and whether its trials fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean
from typing import Any

from studies.check.checks.training import fails
from studies.check.findings import Fact, Finding, NotChecked, Told
from studies.check.isolate import SHARE_OF_MEMORY, free_bytes
from studies.check.observe import Observation, Plan
from studies.check.subject import FEW, Subject
from studies.launchers.local import visible_gpus
from studies.spec import Pruner, StudySpec

TITLE = "memory and cost"
NEEDS_TRAINING = True

GIB = 2**30
EXTREME_S = 4.0


def check(subject: Subject) -> Iterator[Told]:
    """Time the first epoch; train the smallest and the largest trial for a few steps."""
    yield from _memory(subject)
    yield from _cost(subject)


def _memory(subject: Subject) -> Iterator[Told]:
    largest = _extreme(subject, max)
    smallest = _extreme(subject, min)
    for name, params in (("smallest", smallest), ("largest", largest)):
        if subject.left_s() < 0:
            yield NotChecked(f"the {name} trial", "there was no time left")
            continue
        plan = Plan(seconds=EXTREME_S, limits=FEW)
        seen = subject.observe(params, plan)
        given = ", ".join(f"{key} {value}" for key, value in params.items() if params[key] != _usual(subject).get(key))
        if seen.failure is not None and seen.failure.kind == "out of memory":
            yield Finding(
                "memory",
                "error",
                f"the {name} trial ({given}) does not fit: {seen.failure.detail}",
                f"{free_bytes() / GIB:.1f} GiB are free here; such trials fail, and samplers suggest them again",
                "narrow what makes it large in the study file's `space`, or use a machine with more memory",
                seen.failure.where,
            )
        elif seen.failure is not None:
            if seen.failure.kind != "hung":
                yield fails(seen.failure, f"with {given or 'the defaults'}")
        else:
            share = seen.peak_bytes / max(1.0, free_bytes() * SHARE_OF_MEMORY)
            fits = "it fits" if share < 1 else "it does not fit"
            yield Fact(f"{name} trial", f"{seen.peak_bytes / GIB:.2f} GiB of memory ({fits}): {given or 'the defaults'}")
    if visible_gpus() and subject.spec.resources.gpus_per_worker:
        yield NotChecked("the GPU's memory", "everything was measured on the CPU")


def _usual(subject: Subject) -> dict[str, Any]:
    return subject.first.params


def _extreme(subject: Subject, most: Any) -> dict[str, Any]:
    """Return the values that take the most memory each, together, or the least. Where none does, those of the defaults."""
    params = dict(_usual(subject))
    by_name: dict[str, list[tuple[int, Any]]] = {}
    for parameter, value, seen in subject.tried:
        if not parameter.when and (seen.failure is None or seen.failure.kind == "out of memory"):
            size = math.inf if seen.failure else seen.peak_bytes
            by_name.setdefault(parameter.name, []).append((size, value))
    for name, sizes in by_name.items():
        low, high = min(size for size, _ in sizes), max(size for size, _ in sizes)
        if high > low + GIB / 100:  # less is the noise of an allocator
            params[name] = most(sizes, key=lambda pair: pair[0])[1]
    if subject.is_function:
        return params
    return subject.defaults(params)


def _cost(subject: Subject) -> Iterator[Told]:
    first, spec = subject.first, subject.spec
    epoch_s, how = _epoch_s(subject)
    if epoch_s is None:
        yield NotChecked("the cost", f"one epoch did not end within {subject.seconds * 0.3:.0f} s, nor its length be told")
        return
    factor = _average_factor(subject)
    yield Fact("one epoch", f"{_time(epoch_s)} at the defaults, on one CPU thread{how}; x {factor:.1f} on average in the space")
    trial_s = first.start_s + epoch_s * factor * spec.max_epochs
    hours = trial_s * spec.n_trials / 3600
    share = typical_share(spec.pruner, spec.max_epochs)
    unit = "calls" if subject.is_function and not _reports(first) else "epochs"
    cost = f"{spec.n_trials} trials x {spec.max_epochs} {unit}: {_time(hours * 3600)} with pruning off"
    if share < 1:
        cost += f"; about {_time(hours * share * 3600)} with {spec.pruner.name}, were it to keep what it typically does ({share:.0%})"
    yield Fact("the study", f"{cost}; one worker, one CPU thread")
    yield from _limits(spec, hours * share, trial_s)


def _epoch_s(subject: Subject) -> tuple[float | None, str]:
    first = subject.first
    if first.epoch_s:
        return first.epoch_s[0], ""
    rows = (getattr(subject.data, "summary", None) or {}).get("train")
    if not rows or not first.n_rows:
        return None, ""
    return subject.seconds * 0.3 * rows / first.n_rows, f", told from its first {first.n_rows} rows of {rows}"


def _reports(first: Observation) -> bool:
    return any("value" in epoch for epoch in first.trajectory.epochs)


def _average_factor(subject: Subject) -> float:
    """Return how much longer than the defaults a trial takes on average, taking its parameters to act independently."""
    by_name: dict[str, list[float]] = {}
    for parameter, _, seen in subject.tried:
        if (speed := _seconds_per_row(seen)) is not None:
            by_name.setdefault(parameter.name, []).append(speed)
    # The first that was tried of each is the default.
    return math.prod(mean(speeds) / speeds[0] for speeds in by_name.values() if speeds[0] > 0)


def _seconds_per_row(seen: Observation) -> float | None:
    """Return the time of a step per row, or of a whole epoch where no steps were seen."""
    if seen.failure is not None:
        return None
    if seen.n_rows:
        return seen.stepped_s / seen.n_rows
    return mean(seen.epoch_s) if seen.epoch_s and not seen.n_steps else None


def typical_share(pruner: Pruner, max_epochs: int) -> float:
    """Return the share of all epochs that are trained when each rung keeps the best 1 / reduction_factor of its trials.

    That is what successive halving does with its trials in step (Li et al., "A system for massively parallel
    hyperparameter tuning", MLSys 2020); Hyperband runs brackets that begin at each of the rungs, of which the average is
    taken. A median pruner stops half of the trials at its first epoch, were the curves never to cross.
    """
    if pruner.name == "none":
        return 1.0
    if pruner.name == "median":
        first = min(pruner.min_epochs + 1, max_epochs)
        return (first + 0.5 * (max_epochs - first)) / max_epochs
    rungs = []
    rung = pruner.min_epochs
    while rung < max_epochs:
        rungs.append(rung)
        rung *= pruner.reduction_factor

    def of_bracket(skipped: int) -> float:
        ends = [*rungs[skipped:], max_epochs]
        kept, spent, before = 1.0, 0.0, 0
        for end in ends:
            spent += kept * (end - before)
            kept, before = kept / pruner.reduction_factor, end
        return spent / max_epochs

    if pruner.name == "successive_halving":
        return of_bracket(0)
    return mean(of_bracket(skipped) for skipped in range(len(rungs) + 1))


def _limits(spec: StudySpec, hours: float, trial_s: float) -> Iterator[Told]:
    limits = spec.limits
    if limits.gpu_hours is not None and hours > limits.gpu_hours:
        yield Finding(
            "over-its-limit",
            "warning",
            f"the study needs about {hours:.1f} h on this CPU and stops at its limit of {limits.gpu_hours:g} gpu_hours",
            f"it ends after about {spec.n_trials * limits.gpu_hours / hours:.0f} of {spec.n_trials} trials, unless a GPU is faster",
            "raise limits.gpu_hours, or lower n_trials or max_epochs",
        )
    if limits.trial_minutes is not None and trial_s > limits.trial_minutes * 60:
        yield Finding(
            "over-its-limit",
            "warning",
            f"a trial needs about {trial_s / 60:.0f} min on this CPU and ends at its limit of {limits.trial_minutes:g}",
            "its value is that of the epochs it had, which are fewer for slow settings",
            "raise limits.trial_minutes, or lower max_epochs",
        )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
