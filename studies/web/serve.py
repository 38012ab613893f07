"""Serving the dashboard: on this machine, or with users, on any address."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.artifacts import artifact_store
from studies.errors import WrongInput
from studies.storage.accounts import Accounts
from studies.web.access import LOCAL_HOSTS, Access
from studies.web.gallery import keep_up_to_date
from studies.web.passwords import Passwords
from studies.web.watching import watch

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from studies.settings import Settings
    from studies.storage import Storage

PATIENCE_S = 2  # for answers on their way, and for streams that never end by themselves
KEEP_OPEN_S = 5
MAX_CONNECTIONS = 500


@dataclass(frozen=True)
class Where:
    """Where to listen. certificate, key: files in PEM, for TLS. proxies: addresses whose X-Forwarded-* are believed."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    proxies: Sequence[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it; behind a proxy, anybody may."""
        return self.host in LOCAL_HOSTS and not self.proxies

    @property
    def scheme(self) -> str:
        """What an address begins with."""
        return "http" if self.certificate is None else "https"


def application(storage: Storage, settings: Settings, access: Access) -> Starlette:
    """Return the dashboard on this storage."""
    from studies.web import app
    from studies.web.dashboard import application as optunas
    from studies.web.site import Site

    return app.application(Site(storage, settings, access), optunas(storage, artifact_store(settings)))


def serve(storage: Storage, settings: Settings, where: Where, say: Callable[[str], None]) -> None:
    """Serve until interrupted; `say` is told the address, and what people do.

    Raises WrongInput for an address that cannot be served, and where others could reach it although there is no user,
    or none that this database role may read.
    """
    import uvicorn

    accounts = Accounts(storage)
    if not where.is_local and not (accounts.are_there() and accounts.exist()):
        raise WrongInput(
            reason=f"At {where.host} others can reach the dashboard, and it has no users yet; "
            "`studies dashboard user add NAME --role editor` adds one. Without --host it serves this machine alone."
        )
    _check_proxies(where)
    _check_tls(where)
    access = Access(accounts, Passwords(), local=where.is_local, say=say)
    logging.getLogger("optuna_dashboard").setLevel(logging.ERROR)
    with (
        _listening(where) as listening,
        keep_up_to_date(storage, artifact_store(settings), say),
        watch(storage, settings, say),
    ):
        app = application(storage, settings, access)
        host = f"[{where.host}]" if ":" in where.host else where.host
        say(f"The dashboard is at {where.scheme}://{host}:{listening.getsockname()[1]}/ ; Ctrl-C ends it.")
        server = uvicorn.Server(configured(app, where))
        server.handle_exit = partial(_leave, app, server.handle_exit)  # type: ignore[method-assign]
        with closing(app.state.site):
            server.run(sockets=[listening])


def configured(app: Starlette, where: Where) -> uvicorn.Config:
    """Return how the server is to serve."""
    import uvicorn

    from studies.web.patience import PatientProtocol

    return uvicorn.Config(
        app,
        http=PatientProtocol,
        lifespan="off", ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=bool(where.proxies), forwarded_allow_ips=list(where.proxies),
        ssl_certfile=where.certificate, ssl_keyfile=where.key,
        timeout_graceful_shutdown=PATIENCE_S, timeout_keep_alive=KEEP_OPEN_S, limit_concurrency=MAX_CONNECTIONS,
    )  # fmt: skip


def _leave(app: Starlette, leave: Callable[[int, Any], None], signal: int, frame: Any) -> None:
    """End the streams, and call nothing an error that is cut short now."""
    app.state.site.leaving = True
    logging.getLogger("uvicorn.error").disabled = True
    leave(signal, frame)


def _listening(where: Where) -> socket.socket:
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        found = socket.socket(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(128)  # who asks before the server runs is kept waiting, and not refused
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WrongInput(
            reason=f"Cannot serve on {where.host}:{where.port} ({reason}); choose another with --port."
        ) from None
    return found


def _check_proxies(where: Where) -> None:
    for proxy in where.proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:  # no name is ever looked up, and everybody is no proxy
            raise WrongInput(
                reason=f"--proxy is {proxy!r}; expected the address of a proxy, or a network such as 172.17.0.0/16."
            ) from None


def _check_tls(where: Where) -> None:
    if where.certificate is None and where.key is None:
        return
    if where.certificate is None or where.key is None:
        raise WrongInput(reason="TLS needs both files; expected --tls-cert FILE --tls-key FILE.")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(where.certificate, where.key)
    except OSError as error:  # an SSLError is one, too
        raise WrongInput(
            reason=f"TLS cannot use {where.certificate} with {where.key} ({error.strerror or error}); expected a "
            "certificate and its key, in PEM."
        ) from None
