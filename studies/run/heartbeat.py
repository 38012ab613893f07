"""A worker that others can see: registered while it works, and heard of again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError

from studies.errors import StorageUnreachable, StudiesError
from studies.names import StopReason
from studies.run.provenance import device_name
from studies.run.signals import Stop
from studies.run.usage import Meter
from studies.storage.ledger import Ledger

PER_LEASE = 12


@contextmanager
def registered(ledger: Ledger, study_id: int, device: str, stop: Stop, say: Callable[[str], None]) -> Iterator[int]:
    """Be a worker of a study inside, by the id that is yielded. stop: is asked for when the study is stopped."""
    worker_id = ledger.enter(study_id, device_name(device))
    ended = threading.Event()
    given = (ledger, worker_id, device, stop, say, ended)
    heart = threading.Thread(target=_beat, args=given, name="heartbeat", daemon=True)
    heart.start()
    told = True
    try:
        yield worker_id
    except StorageUnreachable:
        told = False  # there is nobody to be told, and the heart, a daemon, waits for them as well
        raise
    finally:
        ended.set()
        if told:
            heart.join()
            ledger.leave(worker_id)


def _beat(
    ledger: Ledger, worker_id: int, device: str, stop: Stop, say: Callable[[str], None], ended: threading.Event
) -> None:
    meter = Meter(on_gpu=device.startswith("cuda"))
    # Whatever the server says is no reason to die: the next beat may be heard.
    while not ended.wait(ledger.lease_s / PER_LEASE):
        try:
            why = ledger.heartbeat(worker_id, meter.read())
        except (StudiesError, StorageInternalError) as error:
            say(f"no heartbeat: {error}")
            continue
        if why == StopReason.PERSON:  # what the objective stops lets the running trials end
            stop.request(why)
