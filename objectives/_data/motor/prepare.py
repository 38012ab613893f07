"""Measurements of an electric motor's temperatures, in sessions; prepared once into memory-mapped arrays.

    motor = load_motor("simulated", data, cache)
    rows = motor.rows("validation")         # of whole sessions
    motor.values[rows], motor.sessions[0]

The measurements are those of Paderborn University ("Electric Motor Temperature", Kaggle): 2 samples per second, in
sessions that are independent of one another. A row has the role of its session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data.kit.preparation import ArrayDirectory, Hashes, prepare_arrays
from objectives._data.kit.split import ROLES
from objectives._data.motor.data import Motor
from objectives._data.motor.readers import COLUMNS, read_csv
from objectives._data.motor.simulation import N_SESSIONS, SAMPLES, SEED, VERSION, simulate
from objectives._data.motor.sources import locate
from objectives._data.motor.split import HELD_OUT, SPLIT_SEED, split

TARGET = "pm"
PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
SIMULATION = {"simulation": VERSION, "seed": SEED, "sessions": N_SESSIONS, "samples": SAMPLES}


def load_motor(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Motor:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a table with a header that has COLUMNS and `profile_id`, in any order and
    among others. data: the directory of full data sets. cache: where prepared ones are kept. Raises DataError.
    """
    table = locate(dataset, data)
    files = {"file": table} if table else {}
    options = {"preparer": f"motor {PREPARER_VERSION}", "seed of split": SPLIT_SEED, "held_out": HELD_OUT}

    def source(hashes: Hashes) -> Mapping[str, Any]:
        return hashes if files else SIMULATION

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        notices = Counter[str]()
        values, session_of = read_csv(files["file"], progress, notices, len(ROLES)) if files else _simulated(progress)
        _write(directory, values, session_of, files.get("file"))
        return {"source": source(hashes), **({"notices": notices} if notices else {})}

    arrays = prepare_arrays(
        "motor",
        files,
        cache,
        progress,
        about={"name": dataset},
        identity=lambda hashes: {**source(hashes), **options},
        build=build,
    )
    return _open(dataset, arrays)


def _simulated(progress: Progress) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    progress("simulating a motor", 0.0)
    simulation = simulate()
    order = [simulation.columns.index(name) for name in COLUMNS]
    return simulation.values[:, order], simulation.sessions


def _write(directory: Path, values: NDArray[np.float32], session_of: NDArray[np.int64], file: Path | None) -> None:
    """Write the arrays of rows [n, 12] and the session of each, (n,). Raises DataError for a TARGET without change."""
    sessions, lengths = np.unique(session_of, return_counts=True)
    # Stable: a session's rows stay in the order of time, wherever the file has them.
    values = values[np.argsort(session_of, kind="stable")]
    roles = split(len(sessions))
    _require_change(values[:, COLUMNS.index(TARGET)], np.repeat(roles, lengths), file)
    np.save(directory / "values.npy", values)
    np.save(directory / "sessions.npy", sessions)
    np.save(directory / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
    np.save(directory / "roles.npy", roles)


def _require_change(target: NDArray[np.float32], roles: NDArray[np.uint8], file: Path | None) -> None:
    """Raise DataError if the temperature (n,) is the same in all rows to train or to validate on; R2 needs a change."""
    for number, role in enumerate(ROLES[:2]):
        own = target[roles == number]
        if own.min() == own.max():
            raise DataError(
                f"{file}: the column {TARGET} is {own[0]:g} in all {len(own):,} {role} rows, so there is nothing to "
                "predict; expected temperatures that change: check that column, or add sessions in which they do"
            )


def _open(name: str, arrays: ArrayDirectory) -> Motor:
    values, sessions, offsets, roles = map(arrays.array, ("values", "sessions", "offsets", "roles"))
    n_of_role = np.bincount(roles, minlength=len(ROLES)).tolist()
    summary = {"rows": len(values)} | {f"{role}_sessions": n for role, n in zip(ROLES, n_of_role, strict=True)}
    summary |= arrays.manifest.get("notices", {})
    return Motor(name, arrays.sha256, summary, values, sessions, offsets, roles, arrays.path)
