"""Names of what can be extended: the known ones, a user's own, and what is wrong with a name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studies.errors import WRONG_INPUT, WrongInput
from studies.own import imported
from studies.registry import EXPORTERS, LAUNCHERS, PRUNERS, SAMPLERS, Registry
from studies.run.launchers import make_launcher, parted
from studies.settings import Settings
from studies.testing.parabola import parabola

KNOWN = Registry("thing", {"path": "pathlib:Path", "json": "json"})


@pytest.mark.parametrize("registry", [LAUNCHERS, SAMPLERS, PRUNERS, EXPORTERS], ids=lambda registry: registry.kind)
def test_everything_that_is_listed_is_there(registry: Registry) -> None:
    for name in registry:
        assert registry.load(name) is not None
    assert registry.expected(next(iter(registry))) is None


def test_what_follows_a_launcher_is_its_own_to_read(tmp_path: Path) -> None:
    assert parted("local") == ("local", "")
    assert parted("local:a,b:4") == ("local", "a,b:4")
    assert parted("mine:Launcher") == ("mine:Launcher", "")
    with pytest.raises(WrongInput, match="--on is 'local:gpu1'; nothing follows local, so type --on local"):
        make_launcher("local:gpu1", parabola("given", 1, 0.0), Settings(None, tmp_path, tmp_path), 1)


def test_a_name_is_a_thing_or_a_module() -> None:
    assert KNOWN.load("path") is Path
    assert KNOWN.load("json").dumps([]) == "[]"


def test_what_ships_is_not_looked_for_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever exports to CSV beside a csv.py of their own must not get that."""
    monkeypatch.chdir(tmp_path)
    KNOWN.load("json")
    assert str(tmp_path) not in sys.path


def test_a_users_own_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_things.py").write_text("class Mine:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    assert KNOWN.load("own_things:Mine").__name__ == "Mine"
    assert imported("own_things", "thing", default="Mine").__name__ == "Mine"
    with pytest.raises(WrongInput, match="module 'own_things' has no 'Mina'; did you mean Mine"):
        KNOWN.load("own_things:Mina")


def test_a_module_that_is_not_there_may_be_a_name_that_was_mistyped() -> None:
    with pytest.raises(WrongInput, match=r"launcher 'sshh:gpu1' was not found: .*; did you mean ssh\?"):
        LAUNCHERS.load("sshh:gpu1")
    with pytest.raises(WrongInput, match=r"did you mean ssh\?"):
        LAUNCHERS.check("ssh2:gpu1,gpu2", "--on")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jsn", "--kind is 'jsn'; expected one of path, json, or module:Name of your own; did you mean json?"),
        ("", "--kind is ''; expected one of path, json, or module:Name of your own"),
        ("own_things", "--kind is 'own_things'; expected one of path, json, or module:Name of your own"),
        ("own things:Mine", "expected one of path, json"),
        ("nowhere.models:Mine", None),
    ],
)
def test_what_is_not_known(name: str, expected: str | None) -> None:
    if expected is None:
        KNOWN.check(name, "--kind")  # imports nothing
        expected = "thing 'nowhere.models:Mine' was not found: there is no module 'nowhere'"
        with pytest.raises(WrongInput) as caught:
            KNOWN.load(name)
    else:
        with pytest.raises(WrongInput) as caught:
            KNOWN.check(name, "--kind")
    assert expected in str(caught.value)
    assert caught.value.exit_code == WRONG_INPUT


def test_a_file_in_place_of_a_module() -> None:
    with pytest.raises(WrongInput, match=r"no module 'nowhere' .*; did you mean 'nowhere:Mine'\?"):
        KNOWN.load("nowhere.py:Mine")
