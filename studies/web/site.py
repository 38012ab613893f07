"""What every page of the dashboard works with: the storage, who may come in, templates, and what was drawn lately."""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from studies import names, words
from studies.errors import StudyNotStarted
from studies.record.overview import Overview, read_overviews
from studies.settings import masked
from studies.storage.pages import Pages
from studies.study import get, started

if TYPE_CHECKING:
    import optuna

    from studies.settings import Settings
    from studies.storage import Storage
    from studies.web.access import Access

TEMPLATES = Path(__file__).with_name("templates")
FRESH_S = 1.0  # what was drawn so lately is shown again: ten viewers cost no more than one
MAX_KEPT = 32


class Site:
    """The dashboard's own pages. settings: where artifacts and checkpoints are.

    leaving: the server was asked to end; streams do then.
    """

    def __init__(self, storage: Storage, settings: Settings, access: Access) -> None:
        self.storage = storage
        self.settings = settings
        self.access = access
        self.pages = Pages(storage)
        self.lately = Lately()
        self.leaving = False
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "number": words.number, "duration": words.duration, "plural": words.plural, "short": words.short,
            "coded": coded, "lost": words.lost, "state": words.state,
            "memory": words.memory, "busy": words.busy,
        }  # fmt: skip

    def text(self, template: str, **given: Any) -> str:
        """Return a template filled in; everything in it is escaped, control characters too."""
        return words.clean(self._templates.get_template(template).render(given))

    def page(self, request: Request, template: str, status: int = 200, **given: Any) -> HTMLResponse:
        """Return a whole page for the one who asks."""
        return HTMLResponse(self.text(template, visitor=request.state.visitor, **given), status)

    def broken(self, error: Exception) -> str:
        """Tell the person who runs the dashboard of a mistake in it; return what the page says of that."""
        self.access.say(masked("".join(traceback.format_exception(error)).rstrip()))
        return f"The dashboard has a mistake ({type(error).__name__}); the terminal where it runs says where."

    def study(self, name: str) -> tuple[optuna.Study, Overview]:
        """Return a study and how it stands. Raises StudyNotStarted.

        An address holds the name in the storage: there `NAME` is the first version, and not the newest as when typed.
        """
        study = get(self.storage, names.exact(name) if name in started(self.storage) else name)
        found = read_overviews(self.storage, self.pages, study._study_id)
        if not found:  # it was deleted just now
            raise StudyNotStarted(name=name, launch=name)
        return study, found[0]

    def close(self) -> None:
        """Close the connections."""
        self.pages.close()
        self.access.accounts.close()


def coded(text: str) -> Markup:
    """Return a sentence as HTML, with what stands between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped just here


def site_of(request: Request) -> Site:
    """Return the site that a request was sent to."""
    site: Site = request.app.state.site
    return site


class Lately:
    """Keeps what was drawn lately; who asks for what is being drawn waits for it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, draw: Callable[[], str], version: Hashable = None) -> str:
        """Return what `draw` returns for a key. version: while it is the same, so is what is drawn; None: FRESH_S."""
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            is_fresh = kept.version == version if version is not None else time.monotonic() < kept.drawn_at + FRESH_S
            if kept.text is None or not is_fresh:
                kept.text, kept.version, kept.drawn_at = draw(), version, time.monotonic()
            return kept.text

    def forget(self) -> None:
        """Draw everything anew: an action has changed what the pages say."""
        with self._lock:
            self._kept.clear()


class _Kept:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.text: str | None = None
        self.version: Hashable = None
        self.drawn_at = 0.0
