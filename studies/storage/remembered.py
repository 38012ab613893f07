"""What this process remembers of all studies, and whether it still holds after a connection was lost."""

from __future__ import annotations

from typing import Any

from optuna.study import StudyDirection

from studies.storage import sql
from studies.storage.connections import Connections, Rows
from studies.storage.ends import Ends
from studies.storage.memory import StudyMemory
from studies.storage.own import OwnTrial


class Remembered:
    """The memory of every study that this process has asked about. Safe to share between threads."""

    def __init__(self, connections: Connections, ends: Ends) -> None:
        self._connections = connections
        self._ends = ends
        self._studies: dict[int, StudyMemory] = {}
        self._ids: dict[str, int] = {}

    def study(self, study_id: int) -> StudyMemory:
        """Return what is known of a study; KeyError when there is none with this id."""
        study = self._studies.get(study_id)
        if study is None:
            rows = self._connections.run(sql.READ_STUDY, {"study_id": study_id})
            if not rows:
                raise self.gone(study_id)
            study = self._remember(rows)
        return study

    def named(self, name: str) -> StudyMemory:
        """Return what is known of the study of this name; KeyError when there is none."""
        # Hyperband asks at every report. A study of which a trial is running here is not about to be replaced by
        # another of the same name; any other may be.
        known = self._studies.get(self._ids.get(name, -1))
        if known is not None and known.own:
            return known
        rows = self._connections.run(sql.READ_STUDY_BY_NAME, {"name": name})
        if not rows:
            raise KeyError(f"No study named {name!r}.")
        return self._remember(rows)

    def studies(self) -> list[StudyMemory]:
        """Return the studies that this process has asked about."""
        return list(self._studies.values())

    def forget(self, study_id: int) -> None:
        """Forget a study."""
        self._studies.pop(study_id, None)

    def gone(self, study_id: int) -> KeyError:
        """Return what to raise when a study is not there any more; forget it."""
        self.forget(study_id)
        return KeyError(f"No study with id {study_id}.")

    def own(self, trial_id: int) -> OwnTrial | None:
        """Return a trial that this process runs, or None for any other."""
        for study in self.studies():
            own = study.own.get(trial_id)
            if own is not None:
                return own
        return None

    def disown(self, trial_id: int) -> None:
        """Read a trial from the database from now on."""
        for study in self.studies():
            study.disown(trial_id)

    def seen(self, study: StudyMemory, ended_only: bool = False) -> dict[str, Any]:
        """Return what statements need to know that ask what is new in a study; see `StudyMemory.seen`."""
        with study.lock:
            self.forget_lost(study)
            return study.seen(ended_only)

    def forget_lost(self, study: StudyMemory) -> None:
        """After a connection was lost, start reading the study anew."""
        with study.lock:
            if study.n_lost != self._connections.n_lost:
                self._ends.end_again()
                study.forget_read(self._connections.n_lost)

    def _remember(self, rows: Rows) -> StudyMemory:
        study_id, name, directions = rows[0]
        self._ids[name] = study_id
        fresh = StudyMemory(study_id, name, [StudyDirection[direction] for direction in directions])
        fresh.forget_read(self._connections.n_lost)
        return self._studies.setdefault(study_id, fresh)
