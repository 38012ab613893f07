"""Reaching an objective by the dotted path in a spec. Only ever done inside a worker's process."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from studies.errors import ObjectiveRefused, SpaceRefused, SpecRefused, WrongInput
from studies.files import sha256_of
from studies.names import Direction
from studies.own import imported
from studies.run.baselines import baselines_of, model_of
from studies.run.placeholders import check_program
from studies.run.program import ProgramObjective
from studies.run.source import source_of, source_of_command
from studies.search.pruners import make_pruner
from studies.search.samplers import make_sampler
from studies.settings import Settings
from studies.spec import Program, StudySpec
from studies.spec.description import Description
from studies.spec.space import Space
from studies.spec.values import SpaceError, as_plain
from studies.words import near, one_line, plural

DECLARED = {  # what an objective says of itself
    "metrics": 'a direction by name, such as {"loss": "minimize"}',
    "datasets": 'a sentence by name, such as {"mine": "Rows of my own."}',
    "space": 'a range or choices by name, such as {"width": {"low": 8, "high": 64, "default": 16}}',
}


class Training(Protocol):
    """One trial's training; what of the objectives' contract the service uses."""

    def epoch(self) -> dict[str, float]:
        """Train one epoch and return its metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the training that `state` was taken from."""


class LoadedObjective(Protocol):
    """An objective; what of its contract the service uses."""

    @property
    def metrics(self) -> Mapping[str, str]:
        """Its metrics, each with its direction."""

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """Its parameters."""

    @property
    def datasets(self) -> Mapping[str, str]:
        """Its data sets, each with one sentence."""

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Callable[[str, float], None]) -> Any:
        """Return the data set, prepared once a machine."""

    def start(self, params: Mapping[str, Any], data: Any, *, seed: int, device: str) -> Training:
        """Return a training that has done no epoch yet."""


@dataclass(frozen=True)
class FunctionObjective:
    """A plain `function(trial)` as Optuna has it: it suggests its own parameters and reads its own data.

    It returns a number, or several in the order of the study's metrics.
    """

    function: Callable[[Any], float | Sequence[float]]
    metrics: Mapping[str, str]
    space: Mapping[str, Mapping[str, Any]]
    datasets: Mapping[str, str]

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Callable[[str, float], None]) -> None:
        """Prepare nothing: the function reads what it needs."""

    def start(self, params: Mapping[str, Any], data: Any, *, seed: int, device: str) -> Training:
        """Refuse: a function has no epochs of ours."""
        raise TypeError("a plain function is called, not started")


def values_of(returned: Any, spec: StudySpec) -> list[float]:
    """Return what a plain function returned, a number for each of the study's metrics. Raises ObjectiveRefused."""
    values: list[Any] = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    if len(values) != len(spec.metrics):
        raise ObjectiveRefused(
            reason=f"{spec.objective!r} returned {plural(len(values), 'value')}; expected {len(spec.metrics)} "
            f"({', '.join(spec.metrics)}): the study file names each value with its direction, such as "
            "`metrics: {loss: minimize, n_parameters: minimize}`; trial.set_user_attr() keeps what is no metric"
        )
    return [number_of(value, f"{spec.objective!r} returned") for value in values]


def number_of(value: Any, given: str) -> float:
    """Return a number that an objective gave. Raises TypeError for what is none; given: how its sentence begins."""
    try:
        return float(value)
    except (TypeError, ValueError):
        missing = " (is a `return` missing?)" if value is None else ""
        raise TypeError(f"{given} {one_line(repr(value))[:100]}; expected a number{missing}") from None


def load_objective(spec: StudySpec) -> LoadedObjective:
    """Import what `spec.objective` names, from the working directory too, and check that the spec fits it.

    Raises ObjectiveRefused with what was given and what the objective has.
    """
    return load_with_space(spec)[0]


def load_with_space(spec: StudySpec) -> tuple[LoadedObjective, Space]:
    """Return the objective as `load_objective` does, and the space that the study searches."""
    if isinstance(spec.objective, Program):
        objective: LoadedObjective = ProgramObjective(spec)
        check_program(spec.objective, spec)
    else:
        objective = _as_objective(import_objective(spec.objective), spec)
        _check(objective, spec)
    try:
        space = spec.resolve(objective.space)
        make_sampler(spec, space)
        make_pruner(spec)
        return objective, space
    except SpaceError as error:
        raise SpaceRefused(reason=str(error), path=error.path) from None


def described(spec: StudySpec, objective: LoadedObjective, space: Space, data: Any, settings: Settings) -> Description:
    """Return what an objective says of itself. data: what its `prepare` returned."""
    declared = {name: as_plain(given) for name, given in objective.space.items()}
    facts = facts_of(spec.dataset, data, settings)
    if data is not None and (found := baselines_of(objective, data, space, settings, facts["sha256"])):
        facts |= {"baselines": found, "baseline_model": model_of(objective)}
    return Description(declared, facts, space, code_of(spec.objective))


def code_of(objective: str | Program) -> Mapping[str, str]:
    """Return the fingerprint of each file of an objective's code. objective: as a spec has it."""
    if isinstance(objective, Program):
        return source_of_command(tuple(objective.files), Path(objective.directory).absolute())
    return source_of(objective.partition(":")[0])


def facts_of(dataset: str, data: Any, settings: Settings) -> dict[str, Any]:
    """Return name, sha256 and summary of a prepared data set, which may be an object with these or a mapping.

    Where the objective gives no hash and the spec names a file or a directory, that is hashed.
    """
    given = data if isinstance(data, Mapping) else {key: getattr(data, key, None) for key in ("sha256", "summary")}
    sha256, summary = given.get("sha256"), given.get("summary")
    if not isinstance(sha256, str):
        path = Path(without_options(dataset)).expanduser()
        named = path.is_file() or "/" in dataset  # a directory of a data set's name is none that was meant
        sha256 = sha256_of(path, settings.home / "fingerprints.json") if named else None
    return {"name": dataset, "sha256": sha256, "summary": dict(summary) if isinstance(summary, Mapping) else {}}


def import_objective(path: str) -> Any:
    """Import what a dotted path names, from the working directory too; ObjectiveRefused when it is not there."""
    try:
        found = imported(path, "objective", default="objective")
    except WrongInput as error:
        raise ObjectiveRefused(**error.given) from None
    return found() if isinstance(found, type) else found


def _as_objective(found: Any, spec: StudySpec) -> LoadedObjective:
    if hasattr(found, "start") and hasattr(found, "prepare"):
        return found  # type: ignore[no-any-return]
    if not callable(found):
        raise ObjectiveRefused(reason=f"{spec.objective!r} is a {type(found).__name__}, not an objective or a function")
    if spec.space:
        raise ObjectiveRefused(
            reason=f"{spec.objective!r} is a plain function, which suggests its own parameters: change their ranges in "
            "it and remove `space`, or make it a class (docs/guides/own-objective.md has an example)"
        )
    datasets = {spec.dataset: "read by the function itself"}
    return FunctionObjective(found, spec.metrics, {}, datasets)


def without_options(dataset: str) -> str:
    """Return a data set or path without its options: `titles.csv` of `titles.csv:drop_classes_below=3`."""
    plain, colon, options = dataset.rpartition(":")
    return plain if colon and "=" in options and not Path(dataset).exists() else dataset


def _check_declared(objective: LoadedObjective, spec: StudySpec) -> None:
    for name, expected in DECLARED.items():
        found = getattr(objective, name, None)
        if not isinstance(found, Mapping):
            what = f"{name} of {spec.objective!r} is {reprlib.repr(found)}"
            raise ObjectiveRefused(reason=f"{_place(objective)}: {what}; expected {expected}")
    for metric, direction in objective.metrics.items():
        if direction not in {*Direction}:
            what = f"{spec.objective!r} has the direction {direction!r} for {metric!r}"
            raise ObjectiveRefused(reason=f"{_place(objective)}: {what}; expected {' or '.join(Direction)}")


def _check(objective: LoadedObjective, spec: StudySpec) -> None:
    _check_declared(objective, spec)
    for metric, given in spec.metrics.items():
        direction = objective.metrics.get(metric)
        if direction is None:
            reason = f"{spec.objective!r} reports no metric {metric!r}{near(metric, objective.metrics)}"
            raise SpecRefused(reason=reason, path=("metrics", metric) if spec.has_several else ("metric",))
        if direction != given:
            reason = f"{metric!r} is to {direction}, and the study says {given}"
            raise SpecRefused(reason=reason, path=("metrics", metric) if spec.has_several else ("direction",))
    if spec.constraints and isinstance(objective, FunctionObjective):
        reason = f"{spec.objective!r} is a plain function, which reports one value; call trial.set_constraint() in it"
        raise SpecRefused(reason=reason, path=("constraints",))
    plain = without_options(spec.dataset)
    is_path = "/" in plain or Path(plain).exists()
    if plain not in objective.datasets and not is_path:
        known = near(spec.dataset, objective.datasets)
        reason = f"{spec.objective!r} has no data set {spec.dataset!r}{known} (a path to a file works too)"
        raise SpecRefused(reason=reason, path=("dataset",))
    try:
        Space.declared(objective.space)
    except SpaceError as error:
        raise ObjectiveRefused(reason=f"{_place(objective)}: the space of {spec.objective!r}: {error}") from None


def _place(objective: LoadedObjective) -> str:
    """Return the file and line of an objective's class, for an error in what it declares."""
    kind = type(objective)
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):  # it has no source
        return kind.__module__
