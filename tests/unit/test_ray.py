"""What of the Ray launcher needs no Ray; tests/ray has the rest."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from studies.errors import WrongInput
from studies.run.launchers import make_launcher
from studies.run.launchers.ray import driver, for_nodes
from studies.run.launchers.ray.cluster import CutOff, Facts, Order, Seen
from studies.settings import Settings
from studies.testing.parabola import parabola

HOME = Path("/home/ann/studies")


@pytest.mark.parametrize("on", ["ray", "ray:head:6379"])
def test_without_the_package_nothing_is_started(on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(WrongInput, match=r"--on ray needs the package ray, .* type: pip install 'studies\[ray\]'"):
        make_launcher(on, parabola("nowhere", 1, 0.0), Settings(None, tmp_path, tmp_path), 1)


def test_a_node_has_directories_of_its_own_unless_all_is_on_one_machine() -> None:
    shared = Settings("postgresql://ann@db.lab.example/studies", HOME, HOME / "data", artifacts="s3://lab/ann")
    assert for_nodes(shared) == {
        "storage": shared.storage, "lease_s": 60.0, "storage_wait_s": 600.0, "artifacts": "s3://lab/ann",
    }  # fmt: skip
    embedded = for_nodes(Settings(None, HOME, HOME / "data"))
    assert (embedded["storage"], embedded["home"], embedded["data"]) == (None, HOME, HOME / "data")


class Failing:
    """A cluster whose first look fails as the system does."""

    def __init__(self, address: str) -> None:
        self.n_looks, self.left = 0, False
        FAILING.append(self)

    def facts(self) -> Facts:
        return Facts(None, False)

    def look(self, orders: Mapping[str, Order]) -> Seen:
        self.n_looks += 1
        if self.n_looks == 1:
            raise ConnectionResetError(104, "Connection reset by peer")
        return Seen({}, {}, frozenset())

    def leave(self) -> None:
        self.left = True


FAILING: list[Failing] = []


def test_only_a_launch_that_is_gone_ends_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(driver, "Cluster", Failing)
    monkeypatch.setattr(sys, "argv", ["driver", str(theirs.detach())])
    process = threading.Thread(target=driver.main)
    process.start()
    with Connection(ours.detach()) as launch:
        launch.send("head:6379")
        assert launch.recv() == Facts(None, False)
        [cluster] = FAILING
        launch.send({})
        cut = launch.recv()
        assert isinstance(cut, CutOff)
        assert str(cut) == "[Errno 104] Connection reset by peer"
        assert not cluster.left
        launch.send({})
        assert isinstance(launch.recv(), Seen)
        launch.send({})  # it is gone before it hears the answer
    process.join()
    assert cluster.left
