"""The trials that a study runs first: waiting ones, with parameters and attributes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from studies.names import FIXED_PARAMS, FROM, START_WITH
from studies.search.knowledge import queued
from studies.spec.space import Space


class Queue:
    """The trials that a study runs first. One that is there already is not queued again."""

    def __init__(self, study: optuna.Study, space: Space) -> None:
        self._study = study
        self._space = space
        trials = study.get_trials(deepcopy=False)
        self._attributes = [trial.user_attrs for trial in trials]
        self._settings = [trial.system_attrs.get(FIXED_PARAMS) for trial in trials]

    def has(self, values: Mapping[str, Any]) -> bool:
        """Whether a trial with these parameters was queued."""
        return queued(self._space, values) in self._settings

    def n_from(self, study: str) -> int:
        """Return how many trials have parameters of that study: a launch may have been killed in the middle."""
        return sum(there.get(FROM, {}).get("study") == study for there in self._attributes)

    def add(self, values: Mapping[str, Any], attributes: dict[str, Any], key: str) -> None:
        """Queue a trial with these attributes, unless there is one with the same one under `key`.

        A place in `start_with` is the same whatever has been written there since; from a file or another study, the
        parameters must be the same too.
        """
        settings = queued(self._space, values)
        for there, theirs in zip(self._attributes, self._settings, strict=True):
            if there.get(key) == attributes[key] and (key == START_WITH or theirs == settings):
                return
        self._study.enqueue_trial(settings, user_attrs=attributes, skip_if_exists=False)
        self._attributes.append(attributes)
        self._settings.append(settings)
