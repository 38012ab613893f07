"""What a person sees while a study runs, on stderr: `live` in a terminal, `plain` elsewhere, both made of `line`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.run.launch import View


def make_view() -> View:
    """Return the view that fits what stderr is; only the one for a terminal imports rich."""
    if sys.stderr.isatty():
        from studies.view.live import LiveView

        return LiveView()
    from studies.view.plain import PlainView

    return PlainView()
