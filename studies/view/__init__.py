"""What a person sees while a study runs, on stderr: `live` in a terminal, `plain` elsewhere, both made of `line`.

`webhook` tells those who do not look.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.run.launch import View
    from studies.settings import Settings


def make_view(settings: Settings | None = None) -> View:
    """Return the view that fits what stderr is; only the one for a terminal imports rich.

    settings: where a webhook is to be told, too. Raises WrongInput for one that has no address.
    """
    if settings is None or settings.webhook is None:
        return _on_stderr()
    from studies.view.webhook import NotifyingView, Webhook

    return NotifyingView(_on_stderr(), Webhook(settings.webhook, settings.webhook_secret))


def _on_stderr() -> View:
    if sys.stderr.isatty():
        from studies.view.live import LiveView

        return LiveView()
    from studies.view.plain import PlainView

    return PlainView()
