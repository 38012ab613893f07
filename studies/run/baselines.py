"""What a simple model scores on a study's data, an objective's second baseline: computed once, kept in the home."""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from typing import Any

from studies.files import write_whole
from studies.settings import Settings
from studies.spec.domain import Fixed
from studies.spec.space import Space


def baselines_of(objective: Any, data: Any, space: Space, settings: Settings, sha256: str | None) -> dict[str, float]:
    """Return the objective's `baselines`: a simple model's value by metric. Empty where it has none, or they fail.

    space: what the study searches. sha256: of the data; with it, the same is not computed twice. A baseline that fails
    is printed, to the log of the preparation, and keeps nobody from training.
    """
    if not hasattr(objective, "baselines"):
        return {}
    try:
        params = typical(Space.declared(objective.space), space)
        if sha256 is None:
            return _finite(objective.baselines(data, params))
        asked = json.dumps([type(objective).__module__, sha256, params], sort_keys=True)
        file = settings.directory("baselines") / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if not file.is_file():
            write_whole(file, json.dumps(_finite(objective.baselines(data, params))).encode())
        known: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
        return known
    except Exception:
        traceback.print_exc()
        return {}


def model_of(objective: Any) -> str:
    """Return what its `baselines` are the values of, such as "a linear model"."""
    return str(getattr(objective, "baseline_model", "a linear model"))


def typical(declared: Space, searched: Space) -> dict[str, Any]:
    """Return what a study fixes and, of what it searches, the defaults, also where it leaves them out."""
    domains = {name: parameter.domain for name, parameter in searched.parameters.items()}
    fixed = {name: domain.value for name, domain in domains.items() if isinstance(domain, Fixed)}
    return declared.completed(fixed)


def _finite(values: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items() if math.isfinite(value)}
