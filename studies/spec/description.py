"""What an objective says of itself, and how that differs from what a study was created with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studies.spec.space import Space


@dataclass(frozen=True)
class Description:
    """An objective as a launch finds it, and the space that the study searches in it.

    declared: its parameters, as it declares them. data: name, sha256 and summary of its prepared data set, and
    baselines, a simple model's values by metric, and baseline_model, what it is, where the objective has some. code:
    the sha256 of each file of its code, by path; empty where there is no source to read.
    """

    declared: dict[str, Any]
    data: dict[str, Any]
    space: Space
    code: Mapping[str, str] = field(default_factory=dict)


def space_changes(before: Space, now: Space) -> str | None:
    """Return in which parameters two spaces differ, as a sentence's part, or None. Defaults do not count."""
    old, new = _searched(before), _searched(now)
    different = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not different:
        return None
    parts = (f"{name} was {old.get(name, 'not there')}, is {new.get(name, 'gone')}" for name in different)
    return f"space: {', '.join(parts)}"


def code_changes(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Return which files of the code differ, as a sentence's part, or None. Where one side is unknown, none does."""
    if not before or not now:
        return None
    different = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return f"code: {', '.join(different)}" if different else None


def _searched(space: Space) -> dict[str, str]:
    shown = {}
    for name, parameter in space.parameters.items():
        when = f" when {json.dumps(dict(parameter.when))}" if parameter.when else ""
        shown[name] = json.dumps(parameter.domain.as_data()) + when
    return shown
