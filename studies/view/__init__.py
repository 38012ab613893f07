"""What a person sees while a study runs, on stderr: `live` in a terminal, `plain` elsewhere, both made of `line`.

`notifying` tells those who do not look.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.run.launch import View
    from studies.settings import Settings


def make_view(settings: Settings | None = None) -> View:
    """Return the view that fits what stderr is; only the one for a terminal imports rich.

    settings: where others are to be told, too. Raises WrongInput for a webhook that has no address.
    """
    if settings is None or (settings.webhook is None and settings.notify_command is None):
        return _on_stderr()
    from studies.notices import channels
    from studies.view.notifying import NotifyingView

    return NotifyingView(_on_stderr(), channels(settings))


def _on_stderr() -> View:
    if sys.stderr.isatty():
        from studies.view.live import LiveView

        return LiveView()
    from studies.view.plain import PlainView

    return PlainView()
