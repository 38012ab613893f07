"""optuna-dashboard on the storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from studies.errors import WrongInput

if TYPE_CHECKING:
    from studies.artifacts import Store
    from studies.storage import Storage


def serve(storage: Storage, artifacts: Store, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the dashboard until interrupted; `ready` is told its address. Raises WrongInput for a taken port."""
    import optuna_dashboard

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing: the page asks every few seconds."""

    application = optuna_dashboard.wsgi(storage.optuna, artifact_store=artifacts)
    try:
        server = make_server(host, port, application, handler_class=Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WrongInput(reason=f"Cannot serve on {host}:{port} ({reason}); choose another with --port.") from None
    with server:
        ready(f"http://{host}:{server.server_port}/")
        server.serve_forever()
