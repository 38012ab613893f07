"""What a study file says of its program, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

from studies.errors import SpaceRefused, SpecRefused, WrongInput
from studies.run.config_file import missing_in
from studies.run.preload import FORM, script_of
from studies.spec import Program, StudySpec
from studies.spec.program import CONFIG, PARAMS, TRIAL
from studies.words import near


def check_program(program: Program, spec: StudySpec) -> None:
    """Check what a study file says of its program.

    Raises SpecRefused for a placeholder that no trial can fill and a directory that is not there, and SpaceRefused for
    a parameter with the name of a placeholder.
    """
    of_trial = (PARAMS, *TRIAL, *([CONFIG] if program.config else []))
    for name in spec.space:
        if name in of_trial:
            raise SpaceRefused(
                reason=f"a parameter is named {name!r}, as a placeholder is that every trial has; choose another name",
                path=("space", name),
            )
    for key, names in program.placeholders().items():
        if unknown := sorted(names - {*of_trial, *spec.space}):
            known = near(unknown[0], [*spec.space, *of_trial])
            if unknown[0] == CONFIG:
                known = "; name the file: `config: config.yaml`, below objective"
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
    if program.config is not None and "{" not in program.directory:
        _check_config(program, spec)


def _check_config(program: Program, spec: StudySpec) -> None:
    """Refuse a config file that cannot be read, or that has no place for what a trial sets in it."""
    assert program.config is not None
    file = Path(program.config.file)
    if not program.has_config_placed and (file.is_absolute() or ".." in file.parts):
        reason = f"config is {str(file)!r}, which is not below the program's directory; put {{config}} into the command"
        raise SpecRefused(reason=reason, path=("objective", CONFIG))
    try:
        missing = missing_in(program, Path(program.directory) / file, spec.space)
    except WrongInput as error:
        raise SpecRefused(reason=error.given["reason"], path=("objective", CONFIG)) from None
    if missing is not None:
        name, reason = missing
        if name in program.config.set:
            raise SpecRefused(reason=reason, path=("objective", CONFIG))
        raise SpaceRefused(reason=reason, path=("space", name))
