"""The fingerprint of an objective's code: what changes it, and what does not."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from studies.run.source import fingerprint, source_of
from studies.spec.description import code_changes

FILES = {
    "mine.py": '"""Mine."""\nimport math, os.path\nimport helper\nfrom parts import model\n\nSCORE = 5  # points\n',
    "helper.py": "from parts.deep import thing\nimport studies.words\n",
    "unrelated.py": "X = 1\n",
    "parts/__init__.py": "",
    "parts/model.py": "from . import layers\nfrom .deep.thing import Y\n",
    "parts/layers.py": "def loss():\n    return 1\n",
    "parts/deep/__init__.py": "from .. import layers\n",
    "parts/deep/thing.py": "Y = '# no comment'\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in list(sys.modules):
        if name.partition(".")[0] in ("mine", "helper", "parts"):
            monkeypatch.delitem(sys.modules, name)
    return tmp_path


def now() -> Mapping[str, str]:
    source_of.cache_clear()
    return source_of("mine")


def test_it_has_the_module_and_what_it_imports_from_the_same_project(project: Path) -> None:
    assert set(now()) == set(FILES) - {"unrelated.py"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mine.py", "SCORE = 5", "SCORE = 25"),
        ("parts/layers.py", "return 1", "return 2"),
        ("parts/deep/thing.py", "# no comment", "# another"),
        ("parts/layers.py", "    return 1", "  return 1"),
    ],
)
def test_an_edit_changes_it(project: Path, file: str, old: str, new: str) -> None:
    before = now()
    (project / file).write_text(FILES[file].replace(old, new))
    assert code_changes(before, now()) == f"code: {file}"
    assert fingerprint(before) != fingerprint(now())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("mine.py", FILES["mine.py"].replace("# points", "# of five\n\n# and more")),
        ("mine.py", FILES["mine.py"].replace("\n", "\r\n")),
        ("unrelated.py", "X = 2\n"),
    ],
)
def test_comments_blank_lines_and_other_files_do_not(project: Path, file: str, text: str) -> None:
    before = now()
    (project / file).write_bytes(text.encode())
    assert now() == before


def test_a_file_that_is_gone_or_new_is_a_change(project: Path) -> None:
    before = now()
    (project / "parts/layers.py").unlink()
    (project / "parts/layers").mkdir()
    (project / "parts/layers/__init__.py").write_text(FILES["parts/layers.py"])
    assert code_changes(before, now()) == "code: parts/layers.py, parts/layers/__init__.py"


def test_a_module_without_source_has_none() -> None:
    assert source_of("math") == {}


def test_a_shipped_objective_has_what_it_shares_with_others() -> None:
    files = set(source_of("objectives.meli_cnn"))
    assert {"objectives/meli_cnn.py", "objectives/_fit.py"} <= files
    assert "objectives/cifar10_cnn.py" not in files


def test_a_directory_without_an_init_file_is_a_package_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "space" / "inner").mkdir(parents=True)
    (project / "space" / "objective.py").write_text("from space.inner import helper\n")
    (project / "space" / "inner" / "helper.py").write_text("SCALE = 1\n")
    monkeypatch.delitem(sys.modules, "space", raising=False)
    source_of.cache_clear()
    assert set(source_of("space.objective")) == {"space/objective.py", "space/inner/helper.py"}
