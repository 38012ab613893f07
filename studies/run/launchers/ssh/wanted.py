"""What a launcher wants of one machine: a state, with counts that only grow.

It is sent as a whole: after every change, every few seconds, and after a cut. Who gets it twice, or late, or in place
of five others, comes to the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    """study: as a worker takes its name. n_started: workers, in all. n_stops, n_kills: how often all were asked to.

    n_connections: made so far. n_exits: of workers, that have arrived. logs: bytes that have arrived, by name.
    """

    study: str = ""
    n_started: int = 0
    n_stops: int = 0
    n_kills: int = 0
    n_connections: int = 0
    n_exits: int = 0
    logs: Mapping[str, int] = field(default_factory=dict)
