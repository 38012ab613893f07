"""The part of the fast storage that is about studies; what never changes about one is asked once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg2
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy

from studies.storage import sql
from studies.storage.connections import Connections, Rows
from studies.storage.memory import StudyMemory
from studies.storage.rows import attrs_from


class StudyStore(BaseStorage):
    """Creates, reads and deletes studies."""

    _connections: Connections
    _studies: dict[int, StudyMemory]
    _ids: dict[str, int]

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create a study; DuplicatedStudyError when the name is taken."""
        name = DEFAULT_STUDY_NAME_PREFIX + str(uuid.uuid4()) if study_name is None else study_name
        given = {"name": name, "directions": [direction.name for direction in directions]}
        try:
            return int(self._connections.run(sql.CREATE_STUDY, given)[0][0])
        except psycopg2.errors.UniqueViolation:
            raise DuplicatedStudyError(f"Another study with name '{name}' already exists.") from None

    def delete_study(self, study_id: int) -> None:
        """Delete a study with all its trials."""
        self._studies.pop(study_id, None)
        try:
            rows = self._connections.run(sql.DELETE_STUDY, {"study_id": study_id})
        except psycopg2.IntegrityError as error:
            raise StorageInternalError(f"A worker is writing to study {study_id}; stop it first.") from error
        if not rows:
            raise self._gone(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a study."""
        self._set_study_attr(sql.SET_STUDY_USER_ATTR, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps on a study."""
        self._set_study_attr(sql.SET_STUDY_SYSTEM_ATTR, study_id, key, value)

    def _set_study_attr(self, statement: str, study_id: int, key: str, value: Any) -> None:
        given = {"study_id": study_id, "key": key, "value": json.dumps(value)}
        if not self._connections.run(statement, given):
            raise self._gone(study_id)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of a study."""
        # Hyperband asks at every report. A study of which a trial is running here is not about to be replaced by
        # another of the same name; any other may be.
        known = self._ids.get(study_name)
        if known is not None and known in self._studies and self._studies[known].own:
            return known
        rows = self._connections.run(sql.READ_STUDY_BY_NAME, {"name": study_name})
        if not rows:
            raise KeyError(f"No study named {study_name!r}.")
        return self._remember(rows).study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of a study."""
        return self._study(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return whether each objective of a study is minimized or maximized."""
        return list(self._study(study_id).directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user attributes of a study."""
        return self._study_attrs(sql.READ_STUDY_USER_ATTRS, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes that Optuna itself keeps on a study."""
        return self._study_attrs(sql.READ_STUDY_SYSTEM_ATTRS, study_id)

    def _study_attrs(self, statement: str, study_id: int) -> dict[str, Any]:
        rows = self._connections.run(statement, {"study_id": study_id})
        if not rows:
            raise self._gone(study_id)
        return attrs_from(rows)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies, by id."""
        return [
            FrozenStudy(
                study_name=name,
                direction=None,
                directions=[StudyDirection[direction] for direction in directions],
                user_attrs=attrs_from(json.loads(user_attrs or "[]")),
                system_attrs=attrs_from(json.loads(system_attrs or "[]")),
                study_id=study_id,
            )
            for study_id, name, directions, user_attrs, system_attrs in self._connections.run(sql.READ_STUDIES, {})
        ]

    def _study(self, study_id: int) -> StudyMemory:
        study = self._studies.get(study_id)
        if study is None:
            rows = self._connections.run(sql.READ_STUDY, {"study_id": study_id})
            if not rows:
                raise self._gone(study_id)
            study = self._remember(rows)
        return study

    def _remember(self, rows: Rows) -> StudyMemory:
        study_id, name, directions = rows[0]
        self._ids[name] = study_id
        fresh = StudyMemory(study_id, name, [StudyDirection[direction] for direction in directions])
        fresh.forget_read(self._connections.n_lost)
        return self._studies.setdefault(study_id, fresh)

    def _gone(self, study_id: int) -> KeyError:
        self._studies.pop(study_id, None)
        return KeyError(f"No study with id {study_id}.")
