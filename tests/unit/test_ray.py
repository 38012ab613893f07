"""What of the Ray launcher needs no Ray; tests/ray has the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studies.errors import WrongInput
from studies.run.launchers import make_launcher
from studies.run.launchers.ray import for_nodes
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
