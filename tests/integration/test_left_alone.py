"""A study that nobody works on any more is told of, once, by whoever looks."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from studies.notices import Channel, Message
from studies.storage import Storage
from studies.storage.pages import Pages
from studies.web.watching import tell_left_alone

from .test_dashboard import failed, started


class Kept(Channel):
    """A channel that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__("Nobody")
        self.messages: list[Message] = []

    def deliver(self, message: Message) -> None:
        self.messages.append(message)


def looked(storage: Storage) -> list[Message]:
    channel = Kept()
    with closing(Pages(storage)) as pages:
        tell_left_alone(storage, pages, [channel])
    channel.close()
    assert channel.complaint() is None
    return channel.messages


def silent(storage: Storage) -> None:
    """Let a lease pass."""
    past = "now() - interval '2 minutes'"
    with closing(psycopg2.connect(storage.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE studies.workers SET heartbeat_at = {past}, ended_at = ended_at - interval '2 minutes'")


def test_it_is_told_once_when_the_last_worker_has_been_silent_for_a_lease(storage: Storage) -> None:
    study = started(storage)
    failed(study)
    assert looked(storage) == []  # nobody has worked on it yet
    for _ in range(2):
        storage.ledger.enter(study._study_id, "cpu")
    silent(storage)
    worker = storage.ledger.enter(study._study_id, "cpu")
    assert looked(storage) == []
    storage.ledger.leave(worker)  # as workers do when their launcher is dead
    assert looked(storage) == []  # another may take over
    silent(storage)
    (told,) = looked(storage)
    assert (told["event"], told["text"]) == ("no_worker", "small: no worker is alive, and 4 of 5 trials are left.")
    assert (told["trials"], told["n_trials"], told["states"]) == (1, 5, {"failed": 1})
    assert looked(storage) == []
    storage.ledger.enter(study._study_id, "cpu")
    silent(storage)
    assert len(looked(storage)) == 1


def test_who_stopped_it_or_ended_its_launch_by_hand_is_not_told(storage: Storage) -> None:
    stopped, ended = started(storage), started(storage, "ended")
    for study in (stopped, ended):
        storage.ledger.enter(study._study_id, "cpu")
    storage.ledger.request_stop(stopped._study_id, "a person")
    storage.ledger.stop_watching(ended._study_id)  # while another worker is alive: nothing changes
    silent(storage)
    storage.ledger.stop_watching(ended._study_id)
    assert looked(storage) == []
