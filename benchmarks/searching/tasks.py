"""What is trained: 34 tasks of LCBench by a trained model, and recorded runs of TaskSet. Neither ships.

LCBench (YAHPO's surrogate): classification, 7 parameters, maximized. It has no noise. Its epoch 1 is before training,
so epoch n here is its epoch n + 1. Seconds are the model's, as one constant for each setting.
TaskSet: losses of 1,000 recorded settings of 8 parameters, minimized; a search trains the recorded setting that is
nearest to what it asks for. Its first point is before training. nan: it diverged. Nothing is known of seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .simulation import Params, Task

MODEL, NAMES, RECORDED = "lcbench.onnx", "lcbench_tasks.json", "taskset_*.npz"
LEFT_OUT = ("#na#", "167083")
LCBENCH_EPOCHS = 51
LCBENCH_SPACE: dict[str, dict[str, Any]] = {
    "batch_size": {"low": 16, "high": 512, "log": True},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"low": 0.1, "high": 0.99},
    "weight_decay": {"low": 1e-5, "high": 0.1},
    "num_layers": {"low": 1, "high": 5},
    "max_units": {"low": 64, "high": 1024, "log": True},
    "max_dropout": {"low": 0.0, "high": 1.0},
}
TIME, VAL_ACCURACY = 0, 1  # columns of what the model returns
READ_TOGETHER = (3, 12, LCBENCH_EPOCHS)  # a curve is read in these steps: most are never read to the end
SHORTEST_EPOCH_S = 0.05  # the model's times go below zero at the edges of the space
TASKSET_LINEAR = ("beta1", "beta2")


class DataMissing(Exception):
    """The folder lacks what a set of tasks needs, or a package does; the message says what."""


class Surrogate:
    """The trained model of LCBench."""

    def __init__(self, directory: Path) -> None:
        """Raises DataMissing."""
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise DataMissing("onnxruntime is not installed; type: pip install 'studies[bench]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the processes are the benchmark's
        self._session = onnxruntime.InferenceSession(
            str(directory / MODEL), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, task: int, rows: np.ndarray) -> np.ndarray:
        """Return [n, 6] for rows of its epoch and parameters, [n, 8]."""
        tasks = np.full((len(rows), 1), task, np.int32)
        return self._session.run(None, {"x_cat": tasks, "x_cont": rows.astype(np.float32)})[0]


class LcbenchTask:
    """One data set of LCBench."""

    space: Mapping[str, Mapping[str, Any]] = LCBENCH_SPACE
    maximize = True
    max_epochs = LCBENCH_EPOCHS

    def __init__(self, name: str, index: int, surrogate: Surrogate) -> None:
        """index: of the task in the model."""
        self.name = name
        self._index = index
        self._surrogate = surrogate
        self._curves: dict[tuple[Any, ...], LcbenchCurve] = {}

    def curve(self, params: Params) -> LcbenchCurve:
        """Return how these parameters train; the same object for the same ones, so nothing is predicted twice."""
        setting = tuple(params[name] for name in self.space)
        if setting not in self._curves:
            self._curves[setting] = LcbenchCurve(self, setting)
        return self._curves[setting]

    def forget(self) -> None:
        """Drop the curves that were predicted."""
        self._curves.clear()

    def predict(self, settings: Sequence[Sequence[float]], epochs: Sequence[int]) -> np.ndarray:
        """Return [settings, epochs, 6] in one call of the model. epochs: 0 is before training."""
        steps = np.tile(np.asarray(epochs) + 1, len(settings))
        rows = np.column_stack([steps, np.repeat(np.asarray(settings, float), len(epochs), axis=0)])
        return self._surrogate.predict(self._index, rows).reshape(len(settings), len(epochs), -1)


class LcbenchCurve:
    """How one setting trains, predicted as far as it is asked for."""

    def __init__(self, task: LcbenchTask, setting: tuple[Any, ...]) -> None:
        self._task = task
        self._setting = setting
        self._values: list[float] = []

    @cached_property
    def epoch_s(self) -> float:
        """Seconds an epoch: those of the whole training, divided evenly."""
        first = READ_TOGETHER[0]
        found = self._task.predict([self._setting], [*range(1, first + 1), 0, LCBENCH_EPOCHS])[0]
        self._values = found[:first, VAL_ACCURACY].tolist()
        return max(float(found[-1, TIME] - found[-2, TIME]) / LCBENCH_EPOCHS, SHORTEST_EPOCH_S)

    def at(self, epoch: int) -> float:
        """See Curve."""
        while epoch > len(self._values):
            known = len(self._values)
            until = next(step for step in READ_TOGETHER if step > known)
            self._values += self._task.predict([self._setting], range(known + 1, until + 1))[
                0, :, VAL_ACCURACY
            ].tolist()
        return self._values[epoch - 1]


class RecordedCurve:
    """A recorded run; an epoch takes one second, for nobody knows."""

    epoch_s = 1.0

    def __init__(self, values: np.ndarray) -> None:
        self._values = values.tolist()

    def at(self, epoch: int) -> float:
        """See Curve."""
        return self._values[epoch - 1]


class RecordedTask:
    """Settings that were trained once, each with its losses. A search gets the nearest one to what it asks for."""

    maximize = False

    def __init__(self, name: str, names: Sequence[str], settings: np.ndarray, losses: np.ndarray) -> None:
        """settings: [n, parameters]. losses: [n, epochs], nan once a run has diverged."""
        self.name = name
        self.losses = losses
        self.max_epochs = losses.shape[1]
        low, high = settings.min(axis=0), settings.max(axis=0)
        self.space: dict[str, dict[str, Any]] = {
            each: {"low": float(low[i]), "high": float(high[i])} | ({} if each in TASKSET_LINEAR else {"log": True})
            for i, each in enumerate(names)
        }
        self._settings = self._unit(settings)

    def curve(self, params: Params) -> RecordedCurve:
        """Return the nearest recorded run, by the distance in the unit cube of the space."""
        asked = self._unit(np.array([[params[name] for name in self.space]], float))
        distances = np.square(self._settings - asked).sum(axis=1)
        return RecordedCurve(self.losses[int(distances.argmin())])

    def forget(self) -> None:
        """See Task. Nothing is kept beside what was recorded."""

    def _unit(self, settings: np.ndarray) -> np.ndarray:
        columns = []
        for index, domain in enumerate(self.space.values()):
            scale = np.log if domain.get("log") else np.asarray
            low, high = scale(domain["low"]), scale(domain["high"])
            columns.append((scale(settings[:, index]) - low) / (high - low))
        return np.column_stack(columns)


def lcbench(directory: Path) -> Iterator[LcbenchTask]:
    """Yield the 34 tasks in the order of their file. Raises DataMissing."""
    _expect(directory, MODEL, NAMES)
    indices = json.loads((directory / NAMES).read_text())["OpenML_task_id"]
    surrogate = Surrogate(directory)
    for name, index in indices.items():
        if name not in LEFT_OUT:
            yield LcbenchTask(name, index, surrogate)


def taskset(directory: Path) -> Iterator[RecordedTask]:
    """Yield the recorded tasks by name. Raises DataMissing."""
    _expect(directory, RECORDED)
    for path in sorted(directory.glob(RECORDED)):
        with np.load(path) as found:
            names = [str(name) for name in found["names"]]
            yield RecordedTask(path.stem.removeprefix("taskset_"), names, found["settings"], found["validation"][:, 1:])


def _expect(directory: Path, *patterns: str) -> None:
    if lacking := [pattern for pattern in patterns if not any(directory.glob(pattern))]:
        raise DataMissing(f"{directory} has no {' and no '.join(lacking)}; give the folder with --curves")


SETS = {"lcbench": lcbench, "taskset": taskset}  # name of the set -> its tasks; those of even position are for tuning


def tasks_of(name: str, directory: Path) -> list[Task]:
    """Return the tasks of a set. Raises DataMissing."""
    return list(SETS[name](directory))
