"""Telling others of a study that nobody works on any more: only who does not depend on its workers can.

A launch tells its own end. Where it was killed, or its machine is gone, nobody is left to; a dashboard is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from studies.errors import StudiesError
from studies.notices import Channel, channels, message
from studies.record.overview import StudyState, read_overviews
from studies.storage.pages import Pages
from studies.web.background import beside
from studies.words import be, plural

if TYPE_CHECKING:
    from studies.settings import Settings
    from studies.storage import Storage

LOOKS_PER_LEASE = 4


@contextmanager
def watch(storage: Storage, settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    """Look after the studies in the background, where the settings say who is to be told. say: told what fails."""
    told = channels(settings)
    if not told:
        yield
        return
    with beside("watch", partial(_watch, storage, told, say)):
        yield


def _watch(storage: Storage, told: Sequence[Channel], say: Callable[[str], None], ended: threading.Event) -> None:
    said: set[str] = set()
    with closing(Pages(storage)) as pages:
        while not ended.wait(storage.ledger.lease_s / LOOKS_PER_LEASE):
            try:
                tell_left_alone(storage, pages, told)
                complaints = [complaint for channel in told if (complaint := channel.complaint()) is not None]
            except StudiesError as error:  # such as a server that is away: the next time
                complaints = [f"Cannot see whether workers are alive: {error}"]
            for complaint in complaints:
                if complaint not in said:
                    say(complaint)
            said.update(complaints)


def tell_left_alone(storage: Storage, pages: Pages, told: Sequence[Channel]) -> None:
    """Tell of each unfinished study that has had no living worker for a lease, once, also where others look."""
    for study_id in storage.ledger.take_left_alone():
        for one in read_overviews(storage, pages, study_id):
            if one.state is not StudyState.IDLE:
                continue
            left = 0 if one.total is None else one.total - one.done
            trials = "trials" if one.total is None else f"{left:,} of {plural(one.total, 'trial')}"
            text = f"{one.typed}: no worker is alive, and {trials} {be(left)} left."
            notice = message(
                "no_worker", text, one.typed, trials=one.done, n_trials=one.total, best=one.best,
                states=one.counts, front=one.front,
            )  # fmt: skip
            for channel in told:
                channel.send(notice)
