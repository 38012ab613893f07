"""How a launch joins its study: under which version, with which trials first, and knowing what of other studies.

Trials that run first are waiting trials of the study, so they count as every other, once, however often a launch is
killed and typed again. In this order: the study file's `start_with`; `--start-with`, an exported file, under its seed,
so that the same data gives the same value; and the best settings of other studies (`studies.run.others`). Without any
of these: the defaults that the objective declares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from studies.errors import WrongInput
from studies.names import DEFAULT, FROM, SEED, START_WITH
from studies.run.others import learn, similar, sources
from studies.run.waiting import Queue
from studies.search.knowledge import queued
from studies.spec import StudySpec
from studies.spec.description import Description
from studies.spec.space import Space
from studies.spec.values import SpaceError
from studies.storage import Storage
from studies.study import (
    JoinedStudy,
    create_or_join,
    open_for_workers,
    version_for,
)


@dataclass(frozen=True)
class Exported:
    """What `studies export` wrote of a study's best trial."""

    path: Path
    params: dict[str, Any]
    seed: int | None
    origin: dict[str, Any]


@dataclass(frozen=True)
class Start:
    """What a person asked of a launch beside the spec.

    same_code: the code has changed and gives the same values. others: studies to start from, `--from`.
    """

    new_version: bool = False
    same_code: bool = False
    others: Sequence[str] = ()
    exported: Exported | None = None


def read_exported(path: Path) -> Exported:
    """Return the trial in a file that `studies export` wrote. Raises WrongInput."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongInput(reason=f"--start-with {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("params"), dict):
        raise WrongInput(
            reason=f"--start-with {path} has no `params:`; expected a file that `studies export NAME -o FILE` wrote."
        )
    provenance = content.get("provenance")
    seed = provenance.get("seed") if isinstance(provenance, dict) else None
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise WrongInput(reason=f"--start-with {path} has the seed {seed!r}; expected a whole number below 2**32.")
    origin = {key: content.get(key) for key in ("study", "trial", "value")}
    origin = {key: value if isinstance(value, (str, int, float)) else None for key, value in origin.items()}
    return Exported(path, {str(name): value for name, value in content["params"].items()}, seed, origin)


def join(
    storage: Storage, spec: StudySpec, described: Description, start: Start, say: Callable[[str], None]
) -> JoinedStudy:
    """Create or join the study, under the name of its version, and queue what it runs first.

    Raises SpecChanged, StudyNotStarted, NothingToStartFrom, WrongInput.
    """
    spec, space = version_for(storage, spec, described, start.new_version), described.space
    others = sources(storage, start.others, spec.name)
    given = None if start.exported is None else _given(start.exported, space)
    with create_or_join(storage, spec, described, start.same_code) as (study, new):
        joined = JoinedStudy(study, spec, space)
        queue = Queue(study, space)
        has_first = bool(spec.start_with) or given is not None or bool(others)
        if new and not has_first and (defaults := _defaults(spec, space)):
            queue.add(defaults, {DEFAULT: True}, DEFAULT)
        if new:
            for index, entry in enumerate(spec.start_with):
                values = space.completed(entry, "start_with", index) if space.parameters else entry
                queue.add(values, {START_WITH: index}, START_WITH)
        if start.exported is not None and given is not None:
            seeded = {} if start.exported.seed is None else {SEED: start.exported.seed}
            queue.add(given, {FROM: start.exported.origin} | seeded, FROM)
        learn(joined, others, described.data, queue, say)
        if new and not others and (known := similar(storage, joined)):
            say(_has_others(spec.name, known))
        open_for_workers(storage, study, spec)
    return joined


def _defaults(spec: StudySpec, space: Space) -> dict[str, Any]:
    """Return the defaults that the objective declares, as a first trial; a grid has its own order."""
    if spec.sampler.name == "grid" or all(parameter.default is None for parameter in space.parameters.values()):
        return {}
    values = space.completed({})
    return values if queued(space, values) and not space.broken(values) else {}


def _has_others(name: str, known: Sequence[str]) -> str:
    """Return what a person may type to start from others that the storage has."""
    options = " ".join(f"--from {other}" for other in known)
    return f"The storage knows this objective: `studies launch {name} {options}` starts from the best settings there."


def _given(exported: Exported, space: Space) -> dict[str, Any]:
    if not space.parameters:  # a plain function's space is known to itself alone
        return exported.params
    try:
        values = space.completed(exported.params, "params")
        if why := space.broken(values):
            raise SpaceError(why)
        return values
    except SpaceError as error:
        raise WrongInput(reason=f"--start-with {exported.path}: {error}.") from None
