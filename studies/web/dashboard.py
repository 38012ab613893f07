"""optuna-dashboard on the storage, as a WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studies.names import ARTIFACT
from studies.storage.postgres import PostgresStorage

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from studies.artifacts import Store
    from studies.storage import Storage


class _Storage(PostgresStorage):
    """The storage as the dashboard has it, where the link to an artifact goes with the artifact.

    The dashboard would write `null` over the link: no ended trial takes that, nor can `optuna.artifacts` read it.
    """

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See BaseStorage."""
        if not (key.startswith(ARTIFACT) and value == "null"):
            super().set_trial_system_attr(trial_id, key, value)
            return
        self.delete_trial_system_attr(trial_id, key)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See BaseStorage."""
        if not (key.startswith(ARTIFACT) and value == "null"):
            super().set_study_system_attr(study_id, key, value)
            return
        self.delete_study_system_attrs(study_id, [key])


def application(storage: Storage, artifacts: Store) -> WSGIApplication:
    """Return the dashboard."""
    import optuna_dashboard

    shown = _Storage(storage.url, **storage.options)
    made: WSGIApplication = optuna_dashboard.wsgi(shown, artifact_store=artifacts)
    return made
