"""What a linear model scores on a study's data: computed once a prepared data set, and kept in the home directory."""

from __future__ import annotations

import json
import math
import traceback
from typing import Any

from studies.files import write_whole
from studies.settings import Settings


def baselines_of(objective: Any, data: Any) -> dict[str, float]:
    """Return the objective's `baselines`: a linear model's value by metric. Empty where it has none, or they fail.

    A baseline that fails is printed, to the log of the preparation, and keeps nobody from training.
    """
    own = getattr(objective, "baselines", None)
    try:
        found = {} if own is None else dict(own(data))
    except Exception:
        traceback.print_exc()
        return {}
    return {str(name): float(value) for name, value in found.items() if math.isfinite(value)}


def kept_baselines(objective: Any, data: Any, sha256: str | None, settings: Settings) -> dict[str, float]:
    """Return the same, computed only the first time for data of this hash."""
    if sha256 is None or not hasattr(objective, "baselines"):
        return baselines_of(objective, data)
    file = settings.directory("baselines") / f"{type(objective).__module__}.{sha256}.json"
    if file.is_file():
        known: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
        return known
    found = baselines_of(objective, data)
    write_whole(file, json.dumps(found).encode())
    return found
