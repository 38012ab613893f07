"""Does the objective ask for parameters that the space does not have?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from studies.check.checks import Check
from studies.check.findings import Finding, Item
from studies.check.subject import Subject
from studies.words import meant


class AskedFor(Check):
    """Report parameters that a training so far has read and the space does not declare."""

    title = "parameters that are not declared"
    needs_training = False
    after = ("parameters",)

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        if subject.is_function:
            yield from _suggested_otherwise(subject)
            return
        missing: dict[str, tuple[str | None, bool]] = {}
        for seen in [subject.first, *(seen for _, _, seen in subject.tried)]:
            for name, (where, has_default) in seen.missing.items():
                survived = has_default or not seen.misses_a_parameter
                if name not in missing or not survived:
                    missing[name] = where, survived
        declared = subject.space.parameters
        for name, (where, has_default) in missing.items():
            if name in declared:
                if not has_default:
                    yield _not_then(name, declared[name].when, where)
            elif not has_default:
                yield _not_declared(name, "every trial ends with KeyError", where, subject, fails=True)
            elif subject.source.is_in_objective(where):
                # A default for what this objective has not is right in shared code, a mistake in the objective's own.
                why = "no trial gives it: the code's default always counts; once edited, equal trials train differently"
                yield _not_declared(name, why, where, subject, fails=False)


def _not_declared(name: str, why: str, where: str | None, subject: Subject, *, fails: bool) -> Finding:
    hint = meant(name, subject.space.parameters)
    return Finding(
        "undeclared-parameter",
        "error" if fails or hint else "warning",
        what=f"{name} is read, and the space does not declare it{hint}",
        why=why,
        fix=f"declare {name} in the space (a study file can fix it), or make it a constant",
        where=where,
    )


def _not_then(name: str, when: Mapping[str, list[Any]], where: str | None) -> Finding:
    under = " and ".join(f"{other} is {' or '.join(map(repr, values))}" for other, values in when.items())
    return Finding(
        "undeclared-parameter",
        "error",
        what=f"{name} is read in a trial that does not have it: it is declared only when {under}",
        why="such a trial ends with KeyError",
        fix=f"read it only then, or params.get({name!r}, ...)",
        where=where,
    )


def _suggested_otherwise(subject: Subject) -> Iterator[Item]:
    """A name that is suggested from another set of values in another trial: Optuna refuses, or mixes the two up.

    And one of `start_with` that no trial so far has asked for.
    """
    asked = {
        name for seen in [subject.first, *(seen for _, _, seen in subject.tried)] for name in seen.suggested.parameters
    }
    for name in sorted({name for given in subject.spec.start_with for name in given} - asked):
        yield Finding(
            "start-with-unknown",
            "warning",
            what=f"start_with gives {name}, which the function did not ask for{meant(name, asked)}",
            why="Optuna leaves out what is not asked for, and draws what is",
            fix=f"correct the name; where {name} exists only with some values of others, all is well",
        )
    for name, parameter in subject.space.parameters.items():
        for _, _, seen in subject.tried:
            later = seen.suggested.parameters.get(name)
            if later is not None and later.domain != parameter.domain:
                yield Finding(
                    "undeclared-parameter",
                    "error",
                    what=f"{name} is suggested from {parameter.domain} in one trial and from {later.domain} in another",
                    why="a sampler has one space for a name: changing choices are refused, changing ranges mislead it",
                    fix="give each of the two its own name",
                    where=seen.read.get(name),
                )
                break
