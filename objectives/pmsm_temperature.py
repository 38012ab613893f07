"""How hot are the magnets of an electric motor? A perceptron on what can be measured from outside the rotor.

Task      currents, voltages, speed and outside temperatures at an instant, and their recent averages, to the
          temperature `pm` of the rotor's permanent magnets, where no sensor can sit
Data      `simulated` is a simulation, generated here; `pmsm-v1` and `pmsm-v2` are Paderborn University's
          measurements (Kaggle: wkirgsn/electric-motor-temperature). Split by session, never by row
Own data  a table with the measurements' columns, among others; what is read is in objectives/_data/motor
Metric    R2 on whole validation sessions; the training sessions' mean temperature gets about 0
Model     inputs -> scaled as on the training sessions -> `depth` hidden layers of ReLU -> one number, linear
          (the network of kenny08gt/proyecto_statistical_learning2 without its last sigmoid; the averages as in
          Kirchgaessner, Wallscheid and Boecker, "Data-driven permanent magnet temperature estimation in synchronous
          motors with supervised machine learning: a benchmark", IEEE Transactions on Energy Conversion 36, 2021)

Parameter            Space                                          Default
optimizer            adam, sgd                                      adam
learning_rate        1e-4 .. 0.5, log                               3e-4
momentum             0 .. 0.95, with sgd                            0.9
width                6 .. 128, of the first hidden layer            32
depth                2 .. 6 hidden layers                           2
batch_size           128, 256, 512, 1024, 2048                      512
features             inputs, ambient+coolant+motor_speed+i_d,       inputs
                     stator, stator+coolant+ambient
scaling              none, minmax, standard                         standard
ewma_spans           [], [60], [60, 300, 1200] samples              [60, 300, 1200]

`inputs` are the eight columns measured outside; `stator` the temperatures of yoke, tooth and winding. `ewma_spans` adds
the exponentially weighted means of every feature over each span; 60 samples are half a minute.

Result    simulated, 8 epochs, 5 seeds, R2 on 24 validation sessions at the best epoch: 0.932 +- 0.003 from the inputs
          (defaults; 0.889 +- 0.007 on 24 test sessions), 0.992 +- 0.001 from stator+coolant+ambient (test 0.990 +-
          0.001). One core of an AMD EPYC, 2 s a training. `python benchmarks/training.py --quality`
          The authors' network on the same data, on the inputs of an instant: 0.20 +- 0.14 split by rows as they did,
          0.04 +- 0.10 by sessions (`--rows`); they report 0.33 to 0.34 on the measurements, by rows. On the
          measurements themselves nothing was run here: they may not be redistributed
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from objectives._baselines import ridge
from objectives._contract import DataError, Example, PredictingObjective, Progress, Source, silent
from objectives._data.kit.lines import RowError, TextLines, each, plural, shown
from objectives._data.kit.split import ROLES
from objectives._data.kit.tables import A_NUMBER, Marks, header_of, not_csv, number_in, places_of, renamed, trimmed
from objectives._data.motor import (
    COLUMNS,
    DATASETS,
    ORIGINS,
    OTHER_NAMES,
    SESSION,
    Motor,
    averaged,
    load_motor,
    raw_files,
)
from objectives._data.motor.simulation import simulate
from objectives._evidence import Scores
from objectives._example import write_csv
from objectives._fit import seeded
from objectives._metrics import r_squared
from objectives._predict import Asked, answered, file_of, open_rows, restored
from objectives._tabular import Perceptron, PerceptronFit, SquaredError, Table

FEATURES: dict[str, tuple[str, ...]] = {
    "inputs": ("ambient", "coolant", "u_d", "u_q", "motor_speed", "torque", "i_d", "i_q"),
    "ambient+coolant+motor_speed+i_d": ("ambient", "coolant", "motor_speed", "i_d"),
    "stator": ("stator_yoke", "stator_tooth", "stator_winding"),
    "stator+coolant+ambient": ("stator_yoke", "stator_tooth", "stator_winding", "coolant", "ambient"),
}
TARGET = "pm"
R2_OF_SESSION = "r2_session_"
TAPER = (0, 1, 1, 2, 3, 3)  # how much narrower each layer is than the first: the authors' H, H-1, H-1, H-2, H-3


PREDICT_ROWS = 4096
DECIMALS = 4  # of a temperature
Floats = NDArray[np.float32]
Measurements: TypeAlias = tuple[str, list[float]]  # of one row: its session, and its values


class PmsmTemperature(PredictingObjective):
    """See the module."""

    metrics: ClassVar[Mapping[str, str]] = {"r2": "maximize", "rmse": "minimize"}
    datasets: ClassVar[Mapping[str, str]] = DATASETS
    origins = ORIGINS
    space: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
        "learning_rate": {"low": 1e-4, "high": 0.5, "log": True, "default": 3e-4},
        "momentum": {"low": 0.0, "high": 0.95, "default": 0.9, "when": {"optimizer": ["sgd"]}},
        "width": {"low": 6, "high": 128, "default": 32},
        "depth": {"low": 2, "high": 6, "default": 2},
        "batch_size": {"choices": [128, 256, 512, 1024, 2048], "default": 512},
        "features": {"choices": list(FEATURES), "default": "inputs"},
        "scaling": {"choices": ["none", "minmax", "standard"], "default": "standard"},
        "ewma_spans": {"choices": [[], [60], [60, 300, 1200]], "default": [60, 300, 1200]},
    }

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """See Objective."""
        return raw_files(dataset, data)

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Motor:
        """See Objective."""
        return load_motor(dataset, data, cache, progress)

    def baselines(self, data: Motor, params: Mapping[str, Any]) -> dict[str, float]:
        """See Objective: on the inputs and averages of these parameters."""
        train, validation = data.rows("train"), data.rows("validation")
        inputs = inputs_of(data, params)
        inputs = scaled(inputs, *scale_of(inputs[train], "standard"))
        pm = data.values[:, COLUMNS.index(TARGET)]
        mean, deviation = target_scale(pm[train])
        truth = (pm[validation] - mean) / deviation
        answers = ridge(inputs[train], (pm[train, None] - mean) / deviation, inputs[validation])
        best = min((found[:, 0] for found in answers), key=lambda found: float(np.mean((found - truth) ** 2)))
        rmse = float(deviation) * float(np.sqrt(np.mean((best - truth) ** 2)))
        return {"r2": r_squared(truth, best), "rmse": rmse}

    def start(self, params: Mapping[str, Any], data: Motor, *, seed: int, device: str) -> PerceptronFit:
        """See Objective."""
        rows = {role: data.rows(role) for role in ROLES}
        inputs = inputs_of(data, params)
        inputs = scaled(inputs, *scale_of(inputs[rows["train"]], params["scaling"]))
        pm = data.values[:, COLUMNS.index(TARGET)]
        mean, deviation = target_scale(pm[rows["train"]])
        tables = {
            role: Table(
                torch.from_numpy(inputs[own]).to(device), torch.from_numpy((pm[own] - mean) / deviation).to(device)
            )
            for role, own in rows.items()
        }
        with seeded(seed, device):
            model = perceptron(params)

        def score(answers: Tensor, target: Tensor, role: str) -> Scores:
            found = score_sessions(answers.cpu().numpy(), target.cpu().numpy(), data, role)
            found["rmse"] = float(deviation) * float((answers - target).square().mean().sqrt())
            found["baseline_rmse"] = float(deviation) * float(target.square().mean().sqrt())
            return Scores(found, lambda: {"groups": {"by": "session", "metric": "r2", "values": by_session(found)}})

        return PerceptronFit(model.to(device), params, tables, SquaredError(), score, seed=seed, device=device)

    def fitted(self, params: Mapping[str, Any], data: Motor) -> dict[str, Any]:
        """See PredictingObjective."""
        train = data.rows("train")
        middle, size = scale_of(inputs_of(data, params)[train], params["scaling"])
        mean, deviation = target_scale(data.values[train, COLUMNS.index(TARGET)])
        return {
            "inputs": {"middle": middle.tolist(), "size": size.tolist()},
            "target": {"mean": float(mean), "deviation": float(deviation)},
        }

    def predictor(
        self, params: Mapping[str, Any], fitted: Mapping[str, Any], weights: Mapping[str, Any], *, device: str
    ) -> TemperaturePredictor:
        """See PredictingObjective."""
        return TemperaturePredictor(params, fitted, restored(perceptron(params), weights, device), device)

    def example(self, directory: Path) -> Example:
        """Eight short sessions of the simulated motor, as a file of the measurements' first release."""
        made = simulate(n_sessions=8, samples=(100, 200), seed=3)
        header = [*made.columns, SESSION]
        rows = [
            [*values, session] for values, session in zip(made.values.tolist(), made.sessions.tolist(), strict=True)
        ]
        asked = [[value for name, value in zip(header, row, strict=True) if name != TARGET] for row in [header, *rows]]
        first = [row for row in asked if row[-1] in (SESSION, rows[0][-1])]
        inputs = [write_csv(directory / "asked.csv", asked), write_csv(directory / "first session.csv", first)]
        return Example(write_csv(directory / "motor.csv", [header, *rows]), {"batch_size": 128}, inputs)


class TemperaturePredictor:
    """A trained perceptron; see `objectives.Predictor`."""

    def __init__(self, params: Mapping[str, Any], fitted: Mapping[str, Any], model: Perceptron, device: str) -> None:
        self._columns = FEATURES[params["features"]]
        self._spans: Sequence[int] = params["ewma_spans"]
        self._scale = np.array(fitted["inputs"]["middle"]), np.array(fitted["inputs"]["size"])
        self._target = fitted["target"]["mean"], fitted["target"]["deviation"]
        self._model = model
        self._device = device
        if {len(part) for part in self._scale} != {model.linears()[0].in_features}:
            raise ValueError("the scale is not of as many inputs as the network has")

    def predict(self, source: Source) -> Iterator[dict[str, Any]]:
        """INPUT is a table with a header and the columns the model was trained on, one row each half second.

        Other columns are ignored. Averages restart with each `profile_id` (or `session`); without that column all rows
        are one session. The answer to each row is the temperature `pm`, in the units of the training data.
        """
        last: dict[str, dict[int, NDArray[np.float64]]] = {}  # the means of each session at its last row
        n = 0
        with open_rows(file_of(source, f"a table with the columns {','.join(self._columns)}")) as file:
            rows = read_rows(file, self._columns)
            for n, answer in enumerate(answered(rows, PREDICT_ROWS, partial(self._answers, last)), start=1):
                yield {"row": n, **answer}
        if not n:
            raise DataError(f"{file.path} has a header and no rows; expected measurements")

    def _answers(
        self, last: dict[str, dict[int, NDArray[np.float64]]], batch: list[Measurements]
    ) -> Iterator[dict[str, Any]]:
        """Yield the answers to rows; `last` has each session's means before them, and then after them."""
        sessions = np.array([session for session, _ in batch])
        now = np.array([values for _, values in batch], dtype=np.float32)
        inputs = np.empty((len(now), now.shape[1] * (1 + len(self._spans))), dtype=np.float32)
        for session in dict.fromkeys(sessions.tolist()):
            own = np.flatnonzero(sessions == session)
            inputs[own] = self._inputs(now[own], last.setdefault(session, {}))
        for answer in self._temperatures(scaled(inputs, *self._scale)):
            yield {TARGET: answer}

    def _inputs(self, now: Floats, last: dict[int, NDArray[np.float64]]) -> Floats:
        """Return what `inputs_of` would for rows (n, k) of one session. `last`: its means before the rows; updated."""
        parts = [now]
        for span in self._spans:
            means = averaged(now, np.array([0, len(now)]), span, last.get(span))
            last[span] = means[-1]
            parts.append(means.astype(np.float32))
        return np.concatenate(parts, axis=1)

    def _temperatures(self, inputs: Floats) -> list[float]:
        with torch.inference_mode():
            answers = self._model(torch.from_numpy(inputs).to(self._device)).cpu().double()
        mean, deviation = self._target
        return [round(answer, DECIMALS) for answer in (answers * deviation + mean).tolist()]


def read_rows(file: TextLines, columns: Sequence[str]) -> Iterator[Asked[Measurements]]:
    """Yield each row's session, "" without a column for it, and its values in the order of `columns`.

    A row in which something is missing or not a number is an error with the line and the column, and so is one of which
    no number tells whether 1,882 is a whole one.
    Raises DataError for a header without the columns.
    """
    lines = iter(file)
    header, separator = header_of(lines, file, columns)
    wanted = places_of(columns, header, file, ",".join(columns), OTHER_NAMES)
    names = renamed(header, OTHER_NAMES)
    session = names.index(SESSION) if SESSION in names else None

    sure = separator == ","  # of what a comma or a point in a number means

    def fields_of(line: str) -> list[str]:
        nonlocal sure
        line = trimmed(line, len(header), separator)
        try:
            fields = next(csv.reader([line], delimiter=separator), [])
        except csv.Error as error:
            raise not_csv(error, file) from error
        if line and len(fields) != len(header):
            raise file.error(plural(len(fields), "column"), f"expected {len(header)}")
        if not sure:
            marks = Marks(file, separator, wanted)
            marks.look(file.number, [line])
            marks.require_decimal()
            sure = marks.decimal
        return fields

    def value_of(fields: list[str], column: int) -> float:
        value = number_in(fields[column], separator)
        if math.isnan(value):
            raise file.error(f"{header[column]} is {shown(fields[column].strip())}", f"expected {A_NUMBER}")
        return value

    for fields in each(map(fields_of, lines)):
        if not fields:
            continue
        about: dict[str, str] = {}
        values: Measurements | RowError
        try:
            if isinstance(fields, RowError):
                raise fields
            about = {} if session is None else {SESSION: fields[session].strip()}
            values = about.get(SESSION, ""), [value_of(fields, column) for column in wanted]
        except RowError as error:
            values = error
        yield {name: text for name, text in about.items() if text}, values


def perceptron(params: Mapping[str, Any]) -> Perceptron:
    """Return the model, with weights drawn from torch's generator."""
    widths = [params["width"] - TAPER[layer] for layer in range(params["depth"])]
    return Perceptron(len(FEATURES[params["features"]]) * (1 + len(params["ewma_spans"])), widths, "relu")


def target_scale(train: Floats) -> tuple[np.float32, np.float32]:
    """Return mean and deviation of the train rows' target (n,).

    A network learns a target around zero fastest, and R2 does not depend on the scale.
    """
    return train.mean(), train.std() or np.float32(1)


def inputs_of(data: Motor, params: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return every row's features, then their means over each span, float32 [n, n_features * (1 + n_spans)]."""
    now = data.values[:, [COLUMNS.index(name) for name in FEATURES[params["features"]]]]
    means = [averaged(now, data.offsets, span).astype(np.float32) for span in params["ewma_spans"]]
    return np.concatenate([now, *means], axis=1)


def scale_of(train: Floats, scaling: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what to subtract from the inputs and what to divide them by, (k,) each, from train rows [n, k].

    A column that is constant there is only shifted.
    """
    if scaling == "none":
        return np.zeros(train.shape[1]), np.ones(train.shape[1])
    if scaling == "minmax":
        middle, size = train.min(axis=0).astype(np.float64), np.ptp(train, axis=0).astype(np.float64)
    else:
        middle, size = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    return middle, np.where(size > 0, size, 1.0)


def scaled(inputs: Floats, middle: NDArray[np.float64], size: NDArray[np.float64]) -> Floats:
    """Return inputs [n, k] in the scale that `scale_of` found."""
    moved: Floats = ((inputs - middle) / size).astype(np.float32)
    return moved


def score_sessions(
    answers: NDArray[np.float32], target: NDArray[np.float32], data: Motor, role: str
) -> dict[str, float]:
    """Return R2 over all rows of a role and over each of its sessions; both [n], standardised as on train.

    baseline_r2: what the training sessions' mean gets as the only answer; it is 0 in these units. A session of constant
    temperature has no R2.
    """
    own = data.sessions_of(role)
    lengths = np.diff(data.offsets)[np.isin(data.sessions, own)]
    ends = np.cumsum(lengths)
    of_session = {
        f"{R2_OF_SESSION}{session}": r_squared(target[end - length : end], answers[end - length : end])
        for session, end, length in zip(own, ends, lengths, strict=True)
    }
    return {
        "r2": r_squared(target, answers),
        "baseline_r2": r_squared(target, np.zeros_like(target)),
        **{name: value for name, value in of_session.items() if not np.isnan(value)},
    }


def by_session(metrics: Mapping[str, float]) -> list[list[Any]]:
    """Return pairs of a session and its R2, from the metrics."""
    own = (
        (name.removeprefix(R2_OF_SESSION), value) for name, value in metrics.items() if name.startswith(R2_OF_SESSION)
    )
    return [[session, round(value, 4)] for session, value in own]


objective = PmsmTemperature()
