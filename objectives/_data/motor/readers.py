"""The files of the measurements: tables with a header, in any order of columns and with others among them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.lines import plural
from objectives._data.kit.tables import header_of, numbers, open_table, places_of

# The order of the first release; the second has the same names in another.
COLUMNS = (
    "ambient", "coolant", "u_d", "u_q", "motor_speed", "torque", "i_d", "i_q",
    "pm", "stator_yoke", "stator_tooth", "stator_winding",
)  # fmt: skip
SESSION = "profile_id"
OTHER_NAMES = {SESSION: ("session_id", "session", "profile")}
EXPECTED = "a .csv, .parquet or .json of the measurements, gzip or not"
MOST_SESSION = 2**31 - 1


def read_csv(
    path: Path, progress: Progress, notices: Counter[str], n_sessions: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The columns of COLUMNS, float32 (n, 12), and the session of each row (n,), in the file's order.

    The columns may be in any order and among others, which may hold anything. n_sessions: that it must have.
    """
    values, sessions = [], []
    with open_table(path, expected=EXPECTED, notices=notices) as file:
        lines = iter(file)
        header, separator = header_of(lines, file, COLUMNS)
        wanted = (*COLUMNS, SESSION)
        used = places_of(wanted, header, file, f"each of {','.join(wanted)} once", OTHER_NAMES)
        most = {header[used[-1]]: MOST_SESSION}
        for part in numbers(lines, file, header, most, separator=separator, used=used):
            values.append(part[:, :-1].astype(np.float32))
            sessions.append(part[:, -1].astype(np.int64))
            progress(f"reading {path.name}", file.fraction)
    if not values:
        raise DataError(f"{path} has a header and no rows; expected measurements")
    found = np.concatenate(sessions)
    if (n := len(np.unique(found))) < n_sessions:
        raise DataError(
            f"{path} has {plural(n, 'session')} in its column {header[used[-1]]}; expected "
            f"{n_sessions} or more, to train, validate and test on different ones"
        )
    return np.concatenate(values), found
