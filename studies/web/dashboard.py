"""optuna-dashboard on the storage, with each study's figures beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from studies.errors import WrongInput
from studies.web.gallery import keep_up_to_date

if TYPE_CHECKING:
    from studies.artifacts import Store
    from studies.storage import Storage


def serve(storage: Storage, host: str, port: int, artifacts: Store, say: Callable[[str], None]) -> None:
    """Serve the dashboard until interrupted; `say` is told its address. Raises WrongInput for a taken port."""
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
    with server, keep_up_to_date(storage, artifacts, say):
        say(f"The dashboard is at http://{host}:{server.server_port}/ ; Ctrl-C ends it.")
        server.serve_forever()
