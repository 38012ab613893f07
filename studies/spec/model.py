"""A written study: its keys, what each may hold, and what makes two studies the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, LiteralString

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError, ValidationError

from studies.names import Direction
from studies.registry import PRUNERS, SAMPLERS, Registry
from studies.spec.bound import Bound
from studies.spec.condition import EXAMPLE
from studies.spec.kubernetes import Kubernetes
from studies.spec.part import Part
from studies.spec.program import Objective, Program
from studies.spec.slurm import SlurmOptions
from studies.spec.space import Space
from studies.spec.values import SpaceError

MAX_NAME = 100  # characters, in a file
GRACE_S = 10.0
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# In the storage a name may have a version, and so be longer.
STORED_NAME, MAX_STORED_NAME = rf"^{NAME.pattern}(@\d+(-confirm)?)?$", MAX_NAME + 20


MOST = 10**9  # trials and epochs: the storage counts to twice as many


class Named(Part):
    """What a registry knows by name, or a user's own by its dotted path. options: what else it takes, by name."""

    registry: ClassVar[Registry]
    later = ("options",)

    name: str
    options: dict[str, Any] = Field(default={})

    @field_validator("name", mode="before")
    @classmethod
    def _known(cls, name: Any) -> Any:
        if (expected := cls.registry.expected(str(name))) is not None:
            raise PydanticCustomError("unknown_name", "{expected}", {"expected": expected})
        return name


class Sampler(Named):
    """How the next parameters are chosen.

    name: a known sampler, or module:Name of your own. seed: the same seed gives the same study with one worker.
    options: what else its constructor takes, by name.
    """

    registry = SAMPLERS

    name: str = "gp"
    seed: int = Field(default=0, ge=0)


class Pruner(Named):
    """When a bad trial is stopped early.

    name: a known pruner, or module:Name of your own; asha pauses trials and resumes those that prove to be among the
    best, the others stop them. min_epochs: no trial is stopped before it has trained for so many. reduction_factor: of
    n trials at a rung, one in so many goes on. options: what else its constructor takes, by name.
    """

    registry = PRUNERS

    name: str = "asha"
    min_epochs: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=3, ge=2)


def in_full(data: dict[str, Any]) -> dict[str, Any]:
    """Return a written study with keys and values where the name alone stands, as in `sampler: tpe`."""
    alone = [key for key in ("sampler", "pruner") if isinstance(data.get(key), str)]
    return data | {key: {"name": data[key]} for key in alone}


class Resources(Part):
    """What one worker gets.

    gpus_per_worker: 0 trains on the CPU; with more, each worker gets so many GPUs, where the machine has any.
    workers_per_gpu: how many workers share these GPUs; auto finds out how many fit and make it faster.
    threads_per_worker: CPU threads; None divides the machine's cores among its workers. grace_s: how long a program may
    take to end after SIGTERM, before it is killed. slurm: with --on slurm, options of sbatch by their long names, such
    as {partition: gpu, gres: "gpu:1", time: "4:00:00"}. kubernetes: with --on kubernetes, the pod of a worker; see
    below.
    """

    later = ("grace_s", "slurm", "kubernetes")

    gpus_per_worker: int = Field(default=1, ge=0)
    workers_per_gpu: int | Literal["auto"] = 1
    threads_per_worker: int | None = Field(default=None, ge=1, le=4096)
    grace_s: float = Field(default=GRACE_S, ge=0, le=10**6)
    slurm: SlurmOptions = Field(default={})
    kubernetes: Kubernetes = Kubernetes()

    @field_validator("workers_per_gpu", mode="before")
    @classmethod
    def _is_number_or_auto(cls, given: Any) -> Any:
        if given != "auto" and (type(given) is not int or given < 1):
            raise PydanticCustomError("number_or_auto", "expected a whole number from 1 on, or auto")
        return given


class Limits(Part):
    """Where a study stops by itself. None is no limit.

    hours: while at least one worker runs, over all launches; no trial begins after that, and n_trials may be left out.
    trial_minutes: one trial's; it ends with its best value. gpu_hours: of all trials together, CPU trials included.
    patience: trials since the best one, with repeats settings. max_failures: in a row. max_retries: of a trial whose
    worker was lost, or whose objective lost a connection.
    """

    later = ("hours",)

    hours: float | None = Field(default=None, gt=0)
    trial_minutes: float | None = Field(default=None, gt=0, le=10**6)
    gpu_hours: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    max_failures: int = Field(default=10, ge=1)
    max_retries: int = Field(default=2, ge=0)


def _bound(text: Any) -> Any:
    try:
        Bound.read(text)
    except ValueError as error:
        raise PydanticCustomError("bound", "{expected}", {"expected": str(error)}) from None
    return text


def _condition(text: Any) -> Any:
    if not isinstance(text, str):
        raise PydanticCustomError("condition", "{expected}", {"expected": EXAMPLE})
    return text


class StudySpec(Part):
    """A written study. `space` and `start_with` are checked against the objective when it is at hand (`resolve`).

    name: small letters, digits and dashes; the study's name in the storage. description: one sentence for people.
    objective: `module`, `module:Class` or `module:function`, found from the working directory too; or a program, as
    `{command: python train.py --lr {learning_rate}}`. dataset: one of the objective's data sets, or the path of a
    file. metric: what is tuned, one of the objective's metrics. direction: whether more or less of it is better.
    metrics: in place of these two where several count, each with its direction; the first decides which epoch of a
    trial counts, and is the one that curves show. n_trials: how many trials the study has in the end, exact with any
    number of workers; a grid, or a study with limits.hours, may leave it out. A space of which every setting was tried
    has no more. max_epochs: how long a trial trains at most. space: parameters that are narrowed or fixed; the others
    are searched as the objective declares them. require: conditions between parameters, such as
    `n_filters * 4 <= 1024`; a setting that breaks one is never tried. constraints: bounds on what the objective
    reports, such as `{n_parameters: "<= 2e6"}`; only a trial that keeps them may be the best. sampler: how the next
    parameters are chosen; its name, or its keys. pruner: when a bad trial is stopped early; its name, or its keys.
    start_with: parameters of trials to run first; what is missing is at its default. resources: what one
    worker gets. limits: where the study or a trial stops by itself. repeats: under how many seeds a setting runs that
    trained to its end; their mean ranks it.
    """

    later = ("require", "constraints", "repeats")

    name: str = Field(pattern=STORED_NAME, max_length=MAX_STORED_NAME)
    description: str = ""
    objective: Objective
    dataset: str = ""
    metric: str = "value"
    direction: Direction
    metrics: dict[str, Direction] = Field(default={})  # of one metric, too, once it is validated
    n_trials: int | None = Field(default=None, ge=1, le=MOST)
    max_epochs: int = Field(default=1, ge=1, le=MOST)
    repeats: int = Field(default=1, ge=1)
    space: dict[str, Any] = Field(default={})
    require: list[Annotated[str, BeforeValidator(_condition)]] = Field(default=[])
    constraints: dict[str, Annotated[str, BeforeValidator(_bound)]] = Field(default={})
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    start_with: list[dict[str, Any]] = Field(default=[])
    resources: Resources = Resources()
    limits: Limits = Limits()

    def identity(self) -> dict[str, Any]:
        """What makes two trials comparable; a study in the storage never changes it."""
        keys = {"objective", "dataset", "metric", "direction", "max_epochs", "space", "require", "constraints"}
        found = self.model_dump(include={*keys, "metrics", "repeats"})
        if "metrics" in found:  # their order counts: the storage has values without names
            found["metrics"] = list(map(list, found["metrics"].items()))
        return found

    @property
    def has_several(self) -> bool:
        """Whether it has several metrics, and so perhaps no single best trial."""
        return len(self.metrics) > 1

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Of each metric, in the order of a trial's values."""
        return tuple(self.metrics.values())

    @property
    def aim(self) -> str:
        """What is tuned, in words: `r2, to maximize`."""
        return " and ".join(f"{name}, to {direction}" for name, direction in self.metrics.items())

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, data: Any) -> Any:
        """Let the first of `metrics` be `metric` and `direction`, or the other way round; let names stand in full."""
        if not isinstance(data, dict):
            return data
        data = in_full(data)
        several = data.get("metrics")
        if several is None:
            metric = data.get("metric", "value")
            is_whole = "direction" in data and isinstance(metric, str)
            return data | ({"metrics": {metric: data["direction"]}} if is_whole else {})
        given = [key for key in ("metric", "direction") if key in data]
        if given and {data.get("metric"): data.get("direction")} != several:
            reason = (
                f"it stands in place of `metric` and `direction`; remove {' and '.join(f'`{key}`' for key in given)}"
            )
            raise _wrong("metrics", reason, several, "metrics")
        if not isinstance(several, dict) or not several:
            reason = "expected such as {accuracy: maximize, n_parameters: minimize}"
            raise _wrong("metrics", reason, several, "metrics")
        for name, to in several.items():
            if to not in list(Direction):
                raise _wrong("metrics", "it should be 'maximize' or 'minimize'", to, "metrics", name)
        metric, direction = next(iter(several.items()))
        return data | {"metric": metric, "direction": direction}

    @model_validator(mode="after")
    def _fits_together(self) -> StudySpec:
        if self.n_trials is None and self.sampler.name != "grid" and self.limits.hours is None:
            reason = "the key 'n_trials' is missing; only a grid, or a study with limits.hours, may leave it out"
            raise _wrong("no_end", reason, None, "n_trials")
        if self.repeats > 1 and self.has_several:
            raise PydanticCustomError("no_mean", "repeats needs a single metric, for the mean of it ranks a setting")
        return self

    @property
    def bounds(self) -> dict[str, Bound]:
        """The constraints, by the name of what is measured."""
        return {name: Bound.read(text) for name, text in self.constraints.items()}

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """See Part. One metric is stored as before there could be several."""
        other_form = ("metric", "direction") if self.has_several else ("metrics",)
        return self.without_defaults({key: value for key, value in serialize(self).items() if key not in other_form})

    def resolve(self, declared: Mapping[str, Any]) -> Space:
        """Return the space that is searched: the objective's, narrowed. Raises SpaceError."""
        try:
            if isinstance(self.objective, Program):  # its space stands in the study file, and nowhere else
                space = Space.declared(self.space)
            else:
                space = Space.declared(declared).narrowed(self.space)
        except SpaceError as error:
            error.path = ("space", *error.path)
            raise
        space = space.requiring(self.require)
        if not space.parameters and not isinstance(self.objective, Program):
            return space  # a plain function's is known to itself alone
        for index, given in enumerate(self.start_with):
            values = space.together(given, "start_with", index)
            if why := space.broken(values):
                raise SpaceError(why, "start_with", index)
        return space


def _wrong(kind: LiteralString, reason: str, found: Any, *place: str) -> ValidationError:
    """Return the error of a key that is wrong beside others, with its place."""
    error = PydanticCustomError(kind, "{reason}", {"reason": reason})
    return ValidationError.from_exception_data("StudySpec", [{"type": error, "loc": place, "input": found}])
