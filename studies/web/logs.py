"""What workers and programs print, as it comes: the logs of a study that are on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from studies.logs.log import Reader, tail
from studies.logs.places import known_logs
from studies.names import UID
from studies.study import typed
from studies.web.following import stream
from studies.web.site import Site, site_of
from studies.words import clean

if TYPE_CHECKING:
    import optuna
    from starlette.requests import Request

NUMBER = re.compile(r"(\d+)")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def logs(request: Request) -> Response:
    """Show which logs of a study there are on this machine."""
    site, name = site_of(request), request.path_params["name"]
    study, overview = site.study(name)
    known = sorted(_known(site, study), key=_in_order)
    return site.page(request, "logs.html", overview=overview, logs=known)


def log(request: Request) -> Response:
    """Show the end of a log, which goes on as it grows."""
    site, path = site_of(request), _path(request)
    return site.page(
        request, "log.html", overview=site.study(request.path_params["name"])[1], log=request.path_params["log"],
        live=live_log(site, path), is_workers="/" in request.path_params["log"],
    )  # fmt: skip


def log_events(request: Request) -> Response:
    """Send the end of a log each time it has grown."""
    site, path = site_of(request), _path(request)
    return stream(request, ("log", path), lambda: live_log(site, path))


def log_text(request: Request) -> Response:
    """Return a whole log as it was written."""
    path = _path(request)

    def pieces() -> Iterator[bytes]:
        with closing(Reader(path)) as reader:
            yield from reader.new()

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8")


def live_log(site: Site, path: Path) -> str:
    """Return the end of a log as HTML."""
    return site.lately.get(("log", path), lambda: site.text("log_live.html", text=printed(tail(path))))


def printed(content: bytes) -> str:
    """Return what was printed as a terminal shows it: a line that was drawn again is its last state; no colours."""
    lines = content.decode(errors="replace").replace("\r\n", "\n").split("\n")
    return clean("\n".join(COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines))


def _known(site: Site, study: optuna.Study) -> dict[str, Path]:
    return known_logs(site.settings.home, study.study_name, study.user_attrs[UID])


def _path(request: Request) -> Path:
    """Return the log that is asked for, one of those that are known: an address is never taken for a path."""
    site = site_of(request)
    study, _ = site.study(request.path_params["name"])
    found = _known(site, study).get(request.path_params["log"])
    if found is None:
        raise HTTPException(
            404,
            "This log is not on this machine, or not any more. Workers have theirs where they were launched, and "
            f"programs where they ran; `studies logs {typed(site.storage, study.study_name)}` shows them there.",
        )
    return found


def _in_order(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in NUMBER.split(name)]
