"""Measurements of an electric motor's temperatures, in sessions; prepared once into memory-mapped arrays.

    motor = load_motor("simulated", data, cache)
    rows = motor.rows("validation")         # of whole sessions
    motor.values[rows], motor.sessions[0]

The measurements are those of Paderborn University ("Electric Motor Temperature", Kaggle): 2 samples a second, in
sessions that have nothing to do with one another. Neighbouring rows of a session are all but equal, so a row has the
role of its session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Download, Origin, Progress, silent
from objectives._data._cache import MANIFEST, file_sha256, fingerprint, prepared, write_json
from objectives._data.lines import TextLines, shown
from objectives._data.motor_simulated import N_SESSIONS, SAMPLES, SEED, VERSION, simulate
from objectives._data.tables import header_of, numbers

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
SPLIT_SEED = 2021
ROLES = ("train", "validation", "test")
HELD_OUT = 0.15  # of the sessions, for validation and again for test

# The order of the first release; the second has the same names in another.
COLUMNS = (
    "ambient", "coolant", "u_d", "u_q", "motor_speed", "torque", "i_d", "i_q",
    "pm", "stator_yoke", "stator_tooth", "stator_winding",
)  # fmt: skip
SESSION = "profile_id"
MOST_SESSION = 2**31 - 1

FILES = {"pmsm-v1": "pmsm_temperature_data.csv", "pmsm-v2": "measures_v2.csv"}
DATASETS: Mapping[str, str] = {
    "simulated": f"SIMULATED, not measured: {N_SESSIONS} sessions of a small thermal network; made on the spot.",
    "pmsm-v1": "The measurements' first release, 998,070 standardised rows; you put it into the data directory.",
    "pmsm-v2": "The second release, 1,330,816 rows in physical units; you put it into the data directory.",
}
KAGGLE = "https://www.kaggle.com/datasets/wkirgsn/electric-motor-temperature"
ORIGINS: Mapping[str, Origin] = {
    "simulated": Origin("free of rights, simulated"),
    **{
        name: Origin(
            "CC BY-SA 4.0 (not confirmed); Paderborn University, Kaggle",
            [Download(f"pmsm/{file}", page=f"{KAGGLE} (an account is needed)")],
        )
        for name, file in FILES.items()
    },
}


@dataclass
class Motor:
    """Prepared measurements; fulfils `Prepared`.

    summary: rows, and sessions of each role. values: the columns of COLUMNS, memory-mapped, float32 (n, 12), one
    session after another. sessions: their ids, ascending, int64 (s,). offsets: session i has the rows from offsets[i]
    to offsets[i + 1], int64 (s + 1,). roles: of each session, an index into ROLES, uint8 (s,). trains_on: whose
    sessions are the train rows.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    values: NDArray[np.float32]
    sessions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    roles: NDArray[np.uint8]
    directory: Path
    trains_on: tuple[str, ...] = ("train",)

    def rows(self, role: str) -> NDArray[np.int64]:
        """The rows of a role's sessions, ascending."""
        wanted = self.trains_on if role == "train" else (role,)
        own = np.isin(self.roles, [ROLES.index(name) for name in wanted])
        return np.flatnonzero(np.repeat(own, np.diff(self.offsets)))

    def with_validation(self) -> Motor:
        """The same, where the validation sessions are trained on, too."""
        return replace(self, trains_on=("train", "validation"))

    def sessions_of(self, role: str) -> NDArray[np.int64]:
        """The ids of a role's sessions, ascending."""
        own: NDArray[np.int64] = self.sessions[self.roles == ROLES.index(role)]
        return own


def load_motor(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Motor:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a CSV file with a header that has COLUMNS and SESSION, in any order and
    among others. data: the directory of full data sets. cache: where prepared ones are kept. Raises DataError.
    """
    path = next(iter(raw_files(dataset, data)), None)
    source: dict[str, object] = {"simulation": VERSION, "seed": SEED, "sessions": N_SESSIONS, "samples": SAMPLES}
    if path is not None:
        source = {"file": file_sha256(path, cache, progress)}
    sha256 = fingerprint(
        {**source, "preparer": f"motor {PREPARER_VERSION}", "seed of split": SPLIT_SEED, "held_out": HELD_OUT}
    )

    def build(directory: Path) -> None:
        if path is None:
            progress("simulating a motor", 0.0)
            simulation = simulate()
            order = [simulation.columns.index(name) for name in COLUMNS]
            values, session_of = simulation.values[:, order], simulation.sessions
        else:
            values, session_of = _read(path, progress)
        sessions, lengths = np.unique(session_of, return_counts=True)
        if len(sessions) < len(ROLES):
            raise DataError(
                f"{path} has {len(sessions)} session{'s'[: len(sessions) != 1]} in its column {SESSION}; expected "
                f"{len(ROLES)} or more, to train, validate and test on different ones"
            )
        # Stable: a session's rows stay in the order of time, wherever the file has them.
        np.save(directory / "values.npy", values[np.argsort(session_of, kind="stable")])
        np.save(directory / "sessions.npy", sessions)
        np.save(directory / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
        np.save(directory / "roles.npy", split(len(sessions)))
        write_json(directory / MANIFEST, {"name": dataset, "sha256": sha256, "source": source})

    directory = prepared(cache, f"motor-{sha256[:32]}", build, progress)
    return _open(dataset, sha256, directory)


def split(n_sessions: int) -> NDArray[np.uint8]:
    """The role of each of three sessions or more, an index into ROLES: 15 % validate, 15 % test, at least one each."""
    n_held_out = max(1, round(HELD_OUT * n_sessions))
    order = np.random.RandomState(SPLIT_SEED).permutation(n_sessions)
    roles = np.zeros(n_sessions, dtype=np.uint8)
    roles[order[:n_held_out]] = ROLES.index("validation")
    roles[order[n_held_out : 2 * n_held_out]] = ROLES.index("test")
    return roles


def averaged(
    values: NDArray[np.floating], offsets: NDArray[np.int64], span: int, before: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Exponentially weighted means of each column within each session, float64 of the shape of `values`.

    y[0] = x[0], y[t] = (1 - a) y[t - 1] + a x[t] with a = 2 / (span + 1): pandas' ewm(span=span, adjust=False).
    values: (n, k). offsets: as in Motor. span: in samples, of which there are two a second. before: the means (k,) just
    before, where the values are one session's and go on from there.
    A mean reaches back over twice as many samples after each pass, so a session takes log2 of its length passes over
    whole arrays, and no more than it takes for the weights to vanish in double precision.
    """
    rate = 2 / (span + 1)
    means = np.empty(values.shape, dtype=np.float64)
    for begin, end in pairwise(offsets):
        session = rate * values[begin:end].astype(np.float64)
        session[:1] = values[begin : begin + 1] if before is None else session[:1] + (1 - rate) * before
        reach, weight = 1, 1 - rate
        while reach < len(session) and weight > np.finfo(np.float64).eps:
            session[reach:] += weight * session[:-reach]
            reach, weight = 2 * reach, weight * weight
        means[begin:end] = session
    return means


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the file of `dataset`, none when it is simulated. Raises DataError when it is missing."""
    if dataset == "simulated":
        return []
    if dataset in FILES:
        path = data / "pmsm" / FILES[dataset]
        if path.is_file():
            return [path]
        raise DataError(
            f"the data set {dataset} is not there: put {path.name} of Kaggle's wkirgsn/electric-motor-temperature into "
            f"{path.parent}, or use the data set simulated"
        )
    path = Path(dataset).expanduser()
    if not path.is_file():
        raise DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(DATASETS)}")
    return [path]


def _read(path: Path, progress: Progress) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The columns of COLUMNS, float32 (n, 12), and the session of each row (n,), in the file's order."""
    values, sessions = [], []
    with TextLines(path) as file:
        lines = iter(file)
        header = header_of(lines, file)
        for name in (*COLUMNS, SESSION):
            if header.count(name) != 1:
                found = f"no column {name!r}" if name not in header else f"several columns {name!r}"
                raise file.error(
                    f"{found} in {shown(','.join(header), 200)}", "expected each of the measurements' once"
                )
        wanted = [header.index(name) for name in COLUMNS]
        for part in numbers(lines, file, header, {SESSION: MOST_SESSION}):
            values.append(part[:, wanted].astype(np.float32))
            sessions.append(part[:, header.index(SESSION)].astype(np.int64))
            progress(f"reading {path.name}", file.fraction)
    if not values:
        raise DataError(f"{path} has a header and no rows; expected measurements")
    return np.concatenate(values), np.concatenate(sessions)


def _open(name: str, sha256: str, directory: Path) -> Motor:
    values, sessions, offsets, roles = (
        np.load(directory / f"{part}.npy", mmap_mode="r") for part in ("values", "sessions", "offsets", "roles")
    )
    n_of_role = np.bincount(roles, minlength=len(ROLES)).tolist()
    summary = {"rows": len(values)} | {f"{role}_sessions": n for role, n in zip(ROLES, n_of_role, strict=True)}
    return Motor(name, sha256, summary, values, sessions, offsets, roles, directory)
