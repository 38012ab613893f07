"""optuna-dashboard on the storage, with each study's figures beside it."""

from __future__ import annotations

from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from studies.artifacts import ARTIFACT
from studies.errors import WrongInput
from studies.storage.postgres import PostgresStorage
from studies.web.gallery import keep_up_to_date

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


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request: who is slow to ask keeps nobody waiting.

    And the main thread, which hears the signals, is never within a request: wsgiref would take a KeyboardInterrupt
    there for an error of the page, and go on.
    """

    daemon_threads = True
    block_on_close = False


def application(storage: Storage, artifacts: Store) -> WSGIApplication:
    """Return the dashboard."""
    import optuna_dashboard

    shown = _Storage(
        storage.url,
        wait_s=storage.wait_s,
        while_waiting=storage.while_waiting,
        environment=storage.environment,
    )
    made: WSGIApplication = optuna_dashboard.wsgi(shown, artifact_store=artifacts)
    return made


def serve(storage: Storage, host: str, port: int, artifacts: Store, say: Callable[[str], None]) -> None:
    """Serve the dashboard until interrupted; `say` is told its address. Raises WrongInput for a taken port."""

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing: the page asks every few seconds."""

    try:
        server = make_server(host, port, application(storage, artifacts), _Server, Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WrongInput(reason=f"Cannot serve on {host}:{port} ({reason}); choose another with --port.") from None
    with server, keep_up_to_date(storage, artifacts, say):
        say(f"The dashboard is at http://{host}:{server.server_port}/ ; Ctrl-C ends it.")
        server.serve_forever()
