"""How a trial ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState


@dataclass
class Outcome:
    """How a trial ended. reason: one of `studies.names.REASONS`. attributes: what is kept beside the value.

    traceback: the whole of it, which is kept as an artifact.
    """

    state: TrialState
    value: float | None = None
    reason: str | None = None
    detail: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    traceback: str | None = None
