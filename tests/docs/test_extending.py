"""What docs/extending.md says is the whole change: in a copy of the package, its files and lines pass their suites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import ROOT, blocks

PAGE = ROOT / "docs" / "extending.md"
COPIED = ("studies", "objectives", "tests", "docs")
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def copy(reachable_directory: Path) -> Iterator[Path]:
    """The repository with every example of the page in its place, and every line added."""
    directory = reachable_directory / "extended"
    for name in COPIED:
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, directory)
    for block in blocks(PAGE):
        if block.title and "/" in block.title:
            (directory / block.title).parent.mkdir(exist_ok=True)
            (directory / block.title).write_text(block.text, encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    for registry, line in re.findall(r"Line in `([A-Z]+)`: `(.+?)`", text):
        add(directory / "studies" / "registry.py", registry, line)
    [(file, old, new)] = re.findall(r"In `([\w.]+)`, `(.+?)` becomes `(.+?)`", text)
    given = (directory / file).read_text(encoding="utf-8")
    assert given.count(old) == 1
    (directory / file).write_text(given.replace(old, new), encoding="utf-8")
    (directory / "work").mkdir()
    (directory / "work" / "bare.yaml").write_text(
        "name: bare\nobjective: objectives.line_slope\ndataset: line\nmetric: error\ndirection: minimize\nn_trials: 2\n"
    )
    yield directory
    run(directory, "-m", "studies", "storage", "down")


def add(file: Path, registry: str, line: str) -> None:
    """Write a line at the end of a registry's mapping, however it is laid out."""
    text = file.read_text(encoding="utf-8")
    [mapping] = re.findall(rf"^{registry} = Registry\(\s*\"\w+\",\s*{{.*?(?=}}[,)])", text, re.MULTILINE | re.DOTALL)
    end = text.index(mapping) + len(mapping)
    before = text[:end].rstrip()
    file.write_text(before + ("" if before.endswith(",") else ",") + f"\n{line}\n" + text[end:], encoding="utf-8")


def run(directory: Path, *words: str, within: str = "work") -> subprocess.CompletedProcess[str]:
    """Run Python with the copy's packages, in a folder of the copy.

    Not in the copy itself by default: a module that is both in the working directory and installed is refused.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    environment |= {"PYTHONPATH": str(directory), "STUDIES_HOME": str(directory / "home"), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=directory / within,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def output(directory: Path, *words: str, within: str = "work") -> str:
    """Run Python with the copy's packages; return what it printed."""
    done = run(directory, *words, within=within)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SUITES = {
    "objective": ("tests/contracts/test_objectives.py", "line_slope", 15),
    "launcher": ("tests/contracts/test_launchers.py", "commands", 6),
    "sampler": ("tests/contracts/test_search.py", "careful", 5),
    "pruner": ("tests/contracts/test_search.py", "lenient", 5),
    "exporter": ("tests/contracts/test_exporters.py", "markdown", 4),
    "reference": ("tests/docs/test_reference.py", "not layout", 50),
    "check": ("tests/check/test_registry.py", "", 3),
}


@pytest.mark.parametrize("point", SUITES)
def test_it_passes_its_suite(copy: Path, point: str) -> None:
    file, chosen, at_least = SUITES[point]
    found = output(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"../{file}", "-k", chosen)
    [n_passed] = re.findall(r"(\d+) passed", found)
    assert int(n_passed) >= at_least, found
    assert "skipped" not in found


def test_the_study_is_in_the_catalog(copy: Path) -> None:
    assert "digit-seven" in output(copy, "-m", "studies", "list")


def test_the_check_finds_its_mistake_and_the_objective_is_sound(copy: Path) -> None:
    found = output(copy, "-m", "studies", "check", "./bare.yaml")
    assert "no-description" in found
    assert "0 errors, 1 warning" in found


def test_the_command_shows_what_a_launch_stored(copy: Path) -> None:
    output(copy, "-m", "studies", "launch", "./bare.yaml", "--on", "commands")
    assert len(output(copy, "-m", "studies", "seeds", "bare").split()) == 2 + 2 * 2
    assert output(copy, "-m", "studies", "export", "bare", "--format", "markdown").count("\n") == 4


def test_the_data_set_is_listed_and_imports_no_other(copy: Path) -> None:
    listed = output(copy, "-m", "studies", "data", "list", "--objective", "objectives.line_slope")
    assert "free of rights, generated" in listed
    output(copy, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", within=".")


def test_the_examples_are_written_as_the_package_is(copy: Path) -> None:
    places = [block.title for block in blocks(PAGE) if block.title and "/" in block.title]
    modules = [place for place in places if place.endswith(".py")]
    assert len(modules) == 8
    for check in (["check"], ["format", "--check"]):
        output(copy, "-m", "ruff", *check, *modules, within=".")
