"""Checkpoints in the storage: a trial goes on where the other machine's disk is out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from studies.artifacts import open_store
from studies.run import stored
from studies.run.checkpoint import Checkpoint, Checkpoints
from studies.run.stored import StoredCheckpoints
from studies.settings import Settings
from studies.storage.ledger import Ledger
from studies.storage.postgres import PostgresStorage

from ..conftest import rows_of

STATE = Checkpoint({"n": 3, "raw": b"\x00\xff" * 1000}, [{"loss": 0.5}], {"epoch": 1})


@dataclass
class Place:
    """A storage with a study of two trials, and machines that share nothing else."""

    study: optuna.Study
    ledger: Ledger
    directory: Path
    said: list[str]

    def machine(self, name: str, writes: bool = True) -> Checkpoints:
        home = self.directory / name
        own = open_store(Settings(None, home, home), "checkpoints", "mine")
        store = StoredCheckpoints(own, self.ledger, self.study._study_id, writes, self.said.append)
        return Checkpoints(store, self.said.append)


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    storage = PostgresStorage(database_url)
    study = optuna.create_study(storage=storage)
    for _ in range(2):
        study.ask()
    with closing(Ledger(database_url, lease_s=60, wait_s=0)) as ledger:
        yield Place(study, ledger, tmp_path, [])
    storage.remove_session()


def test_another_machine_goes_on_from_it_until_it_is_removed(place: Place) -> None:
    one, other = place.machine("one"), place.machine("other")
    assert other.load(1) is None
    one.save(1, Checkpoint({"n": 2}, []))
    one.save(1, STATE)
    assert other.load(1) == STATE
    assert other.load(0) is None
    assert one.numbers() == other.numbers() == {1}
    other.delete(1)
    assert other.numbers() == set()
    assert place.ledger.checkpoint_sizes(place.study._study_id) == {}
    assert place.said == []


def test_it_goes_with_its_study(place: Place, database_url: str) -> None:
    place.machine("one").save(1, STATE)
    assert rows_of(database_url, "SELECT count(*) FROM studies.checkpoints") == [(1,)]
    for trial in place.study.get_trials():
        place.study.tell(trial.number, 0.0)
    optuna.delete_study(study_name=place.study.study_name, storage=database_url)  # any Optuna program may
    assert rows_of(database_url, "SELECT count(*) FROM studies.checkpoints") == [(0,)]


def test_one_that_is_too_large_stays_on_its_machine_and_is_said_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MAX_BYTES", 1000)
    one = place.machine("one")
    one.save(0, STATE)
    one.save(1, STATE)
    assert one.load(1) == STATE
    assert place.machine("other").load(1) is None
    (said,) = place.said
    assert (
        "the checkpoint of trial 0 is on this machine alone, for it has 2 kB, and the storage takes 1 kB; set" in said
    )


def test_those_of_a_study_have_a_limit_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = place.machine("one"), place.machine("other")
    one.save(0, STATE)
    monkeypatch.setattr(
        stored, "MAX_STUDY_BYTES", sum(place.ledger.checkpoint_sizes(place.study._study_id).values()) + 1
    )
    one.save(1, STATE)
    assert (other.load(0), other.load(1)) == (STATE, None)
    assert len(place.said) == 1
    assert "those of the study together have" in place.said[0]
    one.save(0, STATE)  # in place of itself
    one.delete(0)
    one.save(1, STATE)
    assert other.load(1) == STATE


def test_on_one_machine_nothing_is_written_twice(place: Place) -> None:
    place.machine("one", writes=False).save(1, STATE)
    assert place.ledger.checkpoint_sizes(place.study._study_id) == {}
    assert place.machine("one").load(1) == STATE
