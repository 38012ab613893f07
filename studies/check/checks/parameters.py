"""Does every parameter change the training, and does every value of it train?"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from studies.check.checks import Check
from studies.check.checks.training import fails
from studies.check.findings import Finding, Item, NotChecked
from studies.check.observation import Observation
from studies.check.subject import Subject
from studies.spec.domain import Choice, Fixed, Range
from studies.spec.space import Parameter
from studies.words import plural

MOST_CONTEXTS = 8


@dataclass
class Candidate:
    """A parameter under examination. params: of the training without a change. values: those still to be tried.

    n_trained: how many other values trained. compared: how many of them went on far enough to be compared.
    changed: whether one of them trained differently.
    """

    parameter: Parameter
    params: dict[str, Any]
    values: list[Any]
    n_trained: int = 0
    compared: int = 0
    changed: bool = False


class Parameters(Check):
    """Change one parameter at a time, and compare the trainings step by step.

    Every parameter gets one other value before any gets a second: when time runs out, as few as possible are unknown.
    """

    title = "the parameters"
    share = 5

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        free = [each for each in subject.space.parameters.values() if not isinstance(each.domain, Fixed)]
        queue = deque(_allowed(subject, each) for each in free if subject.space.possible(each))
        known = set(subject.space.parameters)
        late: list[Candidate] = []
        while queue:
            candidate = queue.popleft()
            if subject.left_s() < 0:
                late.append(candidate)
                continue
            if candidate.values:
                yield from _try_next(subject, candidate)
            elif candidate.n_trained and not candidate.changed:
                yield from _settle(subject, candidate)
                continue
            if candidate.values or (candidate.n_trained and not candidate.changed):
                queue.append(candidate)
            queue.extend(_suggested_elsewhere(subject, known))
        yield from _no_time(subject, late)


def _allowed(subject: Subject, parameter: Parameter) -> Candidate:
    """Return a parameter with the values that the study's conditions leave beside the others' defaults."""
    candidate = _candidate(parameter, _with(subject, parameter))
    trials = [(value, subject.changed(candidate.params, parameter.name, value)) for value in candidate.values]
    candidate.values = [value for value, params in trials if subject.space.broken(params) is None]
    return candidate


def _candidate(parameter: Parameter, params: dict[str, Any]) -> Candidate:
    return Candidate(parameter, params, others(parameter, params.get(parameter.name)))


def _suggested_elsewhere(subject: Subject, known: set[str]) -> Iterator[Candidate]:
    """Yield what a function suggests only beside certain values of others."""
    for _, _, seen in subject.tried:
        for name, found in seen.suggested.parameters.items():
            if name not in known:
                known.add(name)
                yield _candidate(found, dict(seen.params))


def _try_next(subject: Subject, candidate: Candidate) -> Iterator[Item]:
    """Train with the next value, and compare it with the training without a change."""
    parameter, params = candidate.parameter, candidate.params
    before = subject.few_steps(params)
    if before.failure:
        candidate.values.clear()
        yield from _failed(before, params, parameter)
        return
    value = candidate.values.pop(0)
    after = subject.few_steps(subject.changed(params, parameter.name, value))
    if not any(tried is parameter for tried, _, _ in subject.tried):  # the default first: `cost` divides by it
        subject.tried.append((parameter, params.get(parameter.name), before))
    subject.tried.append((parameter, value, after))
    if after.failure:
        yield from _failed(after, after.params, parameter, value)
        return
    candidate.n_trained += 1
    candidate.compared += _went_on(before) and _went_on(after)
    candidate.changed = candidate.changed or subject.differ(before, after)


def _settle(subject: Subject, candidate: Candidate) -> Iterator[Item]:
    """Look longer at a parameter that has changed nothing so far."""
    if candidate.compared:
        yield from _look_longer(subject, candidate.parameter, candidate.params)
    else:
        yield NotChecked(f"the parameter {candidate.parameter.name}", "a few steps take too long here")


def _no_time(subject: Subject, late: list[Candidate]) -> Iterator[Item]:
    """Name what was not looked at, and say how long a complete check needs."""
    if not late:
        return
    n_trainings = sum(len(each.values) + (0 if each.n_trained else 1) for each in late)
    missing_s = n_trainings * max(subject.mean_s(), subject.few_s)
    hint = f"`studies check {subject.spec.name} --timeout {subject.minutes_for(missing_s)}` has time for all"
    unknown = [each.parameter.name for each in late if not each.changed]
    if unknown:
        yield NotChecked("the parameters", f"there was no time for {', '.join(unknown)}; {hint}")
    if partly := [each.parameter.name for each in late if each.changed]:
        yield NotChecked("every value of the parameters", f"there was no time for all of {', '.join(partly)}; {hint}")


def _went_on(seen: Observation) -> bool:
    """Whether it went past the first step, whose loss says nothing of how it trains."""
    return seen.n_steps > 1 or bool(seen.trajectory.epochs)


def _with(subject: Subject, parameter: Parameter) -> dict[str, Any]:
    """Return the defaults under which the parameter exists."""
    if subject.is_function:
        return dict(subject.first.params)
    return subject.defaults({name: allowed[0] for name, allowed in parameter.when.items()})


def others(parameter: Parameter, value: Any) -> list[Any]:
    """Return the values to try beside this one: every other choice, or both ends of a range."""
    domain = parameter.domain
    if isinstance(domain, Choice):
        return [
            choice
            for choice in domain.choices
            if choice != value or isinstance(choice, bool) != isinstance(value, bool)
        ]
    return [end for end in (domain.high, domain.low) if end != value] if isinstance(domain, Range) else []


def _look_longer(subject: Subject, parameter: Parameter, params: dict[str, Any]) -> Iterator[Item]:
    """Compare whole epochs, for what acts only in evaluations or between epochs; then elsewhere in the space."""
    candidates = others(parameter, params.get(parameter.name))
    n_epochs = sys.maxsize if subject.is_function else subject.spec.max_epochs
    before = subject.whole_epochs(params, n_epochs)
    compared, to_the_end = 0, before.whole
    for value in candidates[:2]:
        after = subject.whole_epochs(subject.changed(params, parameter.name, value), n_epochs)
        if subject.differ(before, after):
            return
        compared += bool(before.trajectory.epochs and after.trajectory.epochs)
        to_the_end = to_the_end and after.whole
    if not compared:
        reason = "the first steps are the same without it, and an epoch takes too long"
        yield NotChecked(f"the parameter {parameter.name}", reason)
        return
    if (context := _acts_elsewhere(subject, parameter, params, candidates[0])) is not None:
        yield _conditional(subject, parameter, *context)
        return
    where = subject.first.read.get(parameter.name) or before.read.get(parameter.name)
    read = "it is never read" if where is None else f"it is read at {where}"
    if subject.is_function:
        read = "what was suggested is not used"
    may_act_later = not to_the_end and where is not None
    if may_act_later:
        read += " and may act later"
    yield Finding(
        "ghost-parameter",
        "warning" if may_act_later else "error",
        what=f"{parameter.name} changes nothing: {read}, and what trains with {params.get(parameter.name)!r} and with "
        f"{candidates[0]!r} is the same to the last digit ({_length(before)})",
        why="the search spends trials on it, and its importance and best value mean nothing",
        fix="pass it to what it is meant for, or remove it from the space",
        where=_declared_at(subject, parameter),
    )


def _length(seen: Observation) -> str:
    n_steps, n_epochs = seen.n_steps, len(seen.trajectory.epochs)
    if not n_steps:
        return plural(n_epochs, "value")
    return f"{plural(n_steps, 'step')}, {plural(n_epochs, 'evaluation')}"


def _acts_elsewhere(
    subject: Subject, parameter: Parameter, params: Mapping[str, Any], value: Any
) -> tuple[str, Any] | None:
    """Return another parameter, and a value of it under which this one acts; None where none was found."""
    n_tried = 0
    for other in subject.space.parameters.values():
        if other.name == parameter.name or other.name in parameter.when or not isinstance(other.domain, Choice):
            continue
        for choice in others(other, params.get(other.name)):
            n_tried += 1
            if n_tried > MOST_CONTEXTS or subject.left_s() < 0:
                return None
            there = subject.changed(params, other.name, choice)
            before = subject.few_steps(there)
            after = subject.few_steps(subject.changed(there, parameter.name, value))
            if not before.failure and not after.failure and subject.differ(before, after):
                return other.name, choice
    return None


def _conditional(subject: Subject, parameter: Parameter, other: str, choice: Any) -> Finding:
    return Finding(
        "conditional-parameter",
        "warning",
        what=f"{parameter.name} changes nothing at the defaults, and does with {other} {choice!r}",
        why="where it does nothing the sampler still varies it and learns from noise",
        fix=f"declare it with when: {{{other!r}: [{choice!r}]}}"
        if not subject.is_function
        else f"suggest it only where {other} is {choice!r}",
        where=_declared_at(subject, parameter),
    )


def _declared_at(subject: Subject, parameter: Parameter) -> str | None:
    """Return where a parameter is declared, or suggested by a plain function."""
    if subject.is_function:
        return subject.first.read.get(parameter.name)
    return subject.source.of_parameter(parameter.name)


def _failed(seen: Observation, params: Mapping[str, Any], parameter: Parameter, value: Any = None) -> Iterator[Item]:
    assert seen.failure is not None
    if seen.misses_a_parameter:
        return  # which asked_for reports better
    if value is None:
        given = ", ".join(f"{name} {params.get(name)!r}" for name in parameter.when) or "the defaults"
        yield fails(seen.failure, f"with {given}")
    else:
        yield fails(seen.failure, f"with {parameter.name} {value!r}")
