"""Finding a user's module: a folder in the working directory hides no package, and no package hides it in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SAY = "from studies.own import import_own; import sys; print(import_own(sys.argv[1]).__file__)"


def found(directory: Path, name: str, expect: int = 0) -> str:
    """Import a module in a new process that runs in this directory; return its file, or the last line of the error."""
    done = subprocess.run([sys.executable, "-P", "-c", SAY, name], cwd=directory, capture_output=True, text=True)
    assert done.returncode == expect, done.stderr
    return done.stdout.strip() if expect == 0 else done.stderr.strip().splitlines()[-1]


def test_a_module_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    assert found(tmp_path, "mine") == str(tmp_path / "mine.py")


def test_a_folder_of_a_packages_name_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "notes.txt").write_text("")
    assert found(tmp_path, "objectives.meli_mlp").endswith("/objectives/meli_mlp.py")
    (tmp_path / "objectives" / "__init__.py").write_text("")
    assert found(tmp_path, "objectives.meli_mlp").endswith("/objectives/meli_mlp.py")


def test_what_only_the_folder_has_is_taken_from_there(tmp_path: Path) -> None:
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "mine.py").write_text("from objectives import other")
    (tmp_path / "objectives" / "other.py").write_text("")
    assert found(tmp_path, "objectives.mine") == str(tmp_path / "objectives" / "mine.py")


def test_what_both_have_is_said(tmp_path: Path) -> None:
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "meli_mlp.py").write_text("")
    said = found(tmp_path, "objectives.meli_mlp", expect=1)
    assert f"'objectives.meli_mlp' is both {tmp_path}/objectives/meli_mlp.py and " in said
    assert said.endswith("rename yours, and what names it")
