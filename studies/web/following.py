"""What a page follows, as server-sent events. It is drawn once for all who follow it, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from studies.errors import StudiesError, StudyNotStarted
from studies.web.site import Site, site_of

if TYPE_CHECKING:
    from starlette.requests import Request

POLL_S = 2.0
LOOK_S = 0.2  # how soon a stream notices what is new, and that the server leaves
STILL_HERE_S = 15.0  # a comment, so that a proxy does not take a quiet stream for a dead one
TYPE = "text/event-stream"
GONE = "event: gone\ndata: gone\n\n"  # the page does not ask again
LOGGED_OUT = "You are logged out. Load the page again to log in."


class Part:
    """A part of a page that somebody follows. text: None until it is drawn. is_over: it will never change again."""

    def __init__(self, draw: Callable[[], str]) -> None:
        self.text: str | None = None
        self.is_over = False
        self.n_followers = 0
        self._draw = draw
        self._drawn = ""

    async def update(self, site: Site) -> None:
        """Draw it again; where that fails, say so above what was drawn last."""
        try:
            self.text = self._drawn = await run_in_threadpool(self._draw)
        except StudyNotStarted as error:  # deleted, while its page is open
            self.text, self.is_over = site.text("notice.html", sentence=str(error)), True
        except StudiesError as error:
            sentence = f"What is shown here is not up to date; it goes on by itself. {error}"
            self.text = site.text("notice.html", sentence=sentence) + self._drawn
        except Exception as error:
            self.text, self.is_over = site.text("notice.html", sentence=site.broken(error)), True


class Followed:
    """The parts that are followed now. For the server's event loop alone."""

    def __init__(self) -> None:
        self._parts: dict[Hashable, Part] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def part(self, site: Site, key: Hashable, draw: Callable[[], str]) -> Iterator[Part]:
        """Yield a part, which is kept up to date meanwhile."""
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part(draw)
            task = asyncio.create_task(self._keep(site, key, part))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        part.n_followers += 1
        try:
            yield part
        finally:
            part.n_followers -= 1

    async def _keep(self, site: Site, key: Hashable, part: Part) -> None:
        try:
            while part.n_followers and not (part.is_over or site.leaving):
                await part.update(site)
                await asyncio.sleep(POLL_S)
        finally:
            self._parts.pop(key, None)


def stream(request: Request, key: Hashable, draw: Callable[[], str]) -> Response:
    """Return a stream of what `draw` draws, each time it changes. key: the same for all who are shown the same."""
    if request.method == "HEAD":
        return Response(media_type=TYPE)
    return StreamingResponse(_events(request, key, draw), media_type=TYPE)


async def _events(request: Request, key: Hashable, draw: Callable[[], str]) -> AsyncIterator[str]:
    """Yield events until the browser leaves, its session ends, or there is nothing more to follow."""
    site = site_of(request)
    shown, quiet_s, checked_s = None, 0.0, POLL_S
    followed: Followed = request.app.state.followed
    with followed.part(site, key, draw) as part:
        while not site.leaving:
            if checked_s >= POLL_S:
                if not await run_in_threadpool(_is_welcome, request):
                    yield _event(site.text("notice.html", sentence=LOGGED_OUT)) + GONE
                    return
                checked_s = 0.0
            if part.text != shown and part.text is not None:
                shown, quiet_s = part.text, 0.0
                yield _event(shown)
            elif quiet_s >= STILL_HERE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            if part.is_over:
                yield GONE
                return
            await asyncio.sleep(LOOK_S)
            quiet_s, checked_s = quiet_s + LOOK_S, checked_s + LOOK_S


def _is_welcome(request: Request) -> bool:
    try:
        return site_of(request).access.visitor(request).role is not None
    except StudiesError:  # the storage does not answer, and so tells nobody anything new
        return True


def _event(text: str) -> str:
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
