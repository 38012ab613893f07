"""Studies: creating, reading and deleting them, and their attributes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import psycopg2
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy

from studies.storage import sql
from studies.storage.connections import Connections, Rows
from studies.storage.remembered import Remembered
from studies.storage.rows import attrs_from


class Studies:
    """Creates, reads and deletes studies; see `PostgresStorage`, whose methods these are."""

    def __init__(self, connections: Connections, remembered: Remembered) -> None:
        self._connections = connections
        self._remembered = remembered

    def create(self, directions: Sequence[StudyDirection], name: str | None) -> int:
        """Create a study and return its id; DuplicatedStudyError when the name is taken."""
        name = DEFAULT_STUDY_NAME_PREFIX + str(uuid.uuid4()) if name is None else name
        given = {"name": name, "directions": [direction.name for direction in directions]}
        try:
            created = partial(self._connections.run, sql.FIND_CREATED_STUDY, given)
            return int(self._connections.run(sql.CREATE_STUDY, given, recover=created)[0][0])
        except psycopg2.errors.UniqueViolation:
            raise DuplicatedStudyError(f"Another study with name '{name}' already exists.") from None

    def delete(self, study_id: int) -> None:
        """Delete a study with all its trials."""
        self._remembered.forget(study_id)
        given = {"study_id": study_id}

        def deleted() -> Rows:
            return [] if self._connections.run(sql.READ_STUDY, given) else [(study_id,)]

        try:
            rows = self._connections.run(sql.DELETE_STUDY, given, recover=deleted)
        except psycopg2.IntegrityError as error:
            raise StorageInternalError(f"A worker is writing to study {study_id}; stop it first.") from error
        if not rows:
            raise self._remembered.gone(study_id)

    def set_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute."""
        self._set_attr(sql.SET_STUDY_USER_ATTR, study_id, key, value)

    def set_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps."""
        self._set_attr(sql.SET_STUDY_SYSTEM_ATTR, study_id, key, value)

    def delete_system_attrs(self, study_id: int, keys: Collection[str]) -> None:
        """Delete attributes that Optuna itself keeps; what is not there is passed over."""
        self._connections.run(sql.DELETE_STUDY_SYSTEM_ATTRS, {"study_id": study_id, "keys": list(keys)})

    def user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user attributes."""
        return self._attrs(sql.READ_STUDY_USER_ATTRS, study_id)

    def system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes that Optuna itself keeps."""
        return self._attrs(sql.READ_STUDY_SYSTEM_ATTRS, study_id)

    def all(self) -> list[FrozenStudy]:
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

    def _set_attr(self, statement: str, study_id: int, key: str, value: Any) -> None:
        given = {"study_id": study_id, "key": key, "value": json.dumps(value)}
        if not self._connections.run(statement, given):
            raise self._remembered.gone(study_id)

    def _attrs(self, statement: str, study_id: int) -> dict[str, Any]:
        rows = self._connections.run(statement, {"study_id": study_id})
        if not rows:
            raise self._remembered.gone(study_id)
        return attrs_from(rows)
