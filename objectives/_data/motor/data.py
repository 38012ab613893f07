"""Prepared measurements of a motor, as an objective gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._data.kit.split import ROLES


@dataclass
class Motor:
    """Prepared measurements; fulfils `Prepared`.

    summary: rows, and sessions of each role. values: the columns of COLUMNS, memory-mapped, float32 (n, 12), one
    session after another. sessions: their ids, ascending, int64 (s,). offsets: session i has the rows from offsets[i]
    to offsets[i + 1], int64 (s + 1,). roles: the role of each session, an index into ROLES, uint8 (s,). trains_on: the
    roles whose sessions are the train rows.
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
        """The same data with the validation sessions among the train sessions."""
        return replace(self, trains_on=("train", "validation"))

    def sessions_of(self, role: str) -> NDArray[np.int64]:
        """The ids of a role's sessions, ascending."""
        own: NDArray[np.int64] = self.sessions[self.roles == ROLES.index(role)]
        return own
