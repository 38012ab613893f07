"""What a study file says of its program, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

from studies.errors import SpaceRefused, SpecRefused
from studies.run.preload import FORM, script_of
from studies.spec import Program, StudySpec
from studies.spec.program import PARAMS, TRIAL
from studies.words import near


def check_program(program: Program, spec: StudySpec) -> None:
    """Check what a study file says of its program.

    Raises SpecRefused for a placeholder that no trial can fill and a directory that is not there, and SpaceRefused for
    a parameter with the name of a placeholder.
    """
    for name in spec.space:
        if name in (PARAMS, *TRIAL):
            raise SpaceRefused(
                reason=f"a parameter is named {name!r}, as a placeholder is that every trial has; choose another name",
                path=("space", name),
            )
    for key, names in program.placeholders().items():
        if unknown := sorted(names - {PARAMS, *TRIAL, *spec.space}):
            known = near(unknown[0], [*spec.space, PARAMS, *TRIAL])
            reason = f"unknown placeholder {{{unknown[0]}}}{known} ({{{{{unknown[0]}}}}} stays as it is)"
            raise SpecRefused(reason=reason, path=("objective", key))
    if (style := program.unknown_style()) is not None:
        reason = (
            f"unknown placeholder {{{style}}}; expected {{params}}, {{params:hydra}} for name=value, or a word such as "
            "--nesterov{nesterov:flag}"
        )
        raise SpecRefused(reason=reason, path=("objective", "command"))
    if program.preload and script_of(program.words) is None:
        reason = f"preload is for a command such as {FORM}; the command is {str(program)!r}"
        raise SpecRefused(reason=reason, path=("objective", "preload"))
    if "{" not in program.directory and not Path(program.directory or ".").is_dir():
        reason = f"directory is {program.directory!r}; expected a directory that is there"
        raise SpecRefused(reason=reason, path=("objective", "directory"))
