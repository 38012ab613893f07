"""Everything a person can type or meet is explained: a new command, option, key or error fails here until it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import typer

from studies import errors, names
from studies.check import checks, findings, program
from studies.cli import app
from studies.record.verdicts import VerdictKind
from studies.settings import Settings
from studies.spec import Program, Reports, StudySpec
from studies.spec.model import Part

from .pages import ROOT

INTERNAL = {
    "STUDIES_DEBUG": "how --debug reaches a child process",
    "STUDIES_PRELOAD": "how a launch tells its fork server what to import",
    "STUDIES_FORK_SERVER": "where the socket of a launch's fork server is",
    "STUDIES_STARTED_BY": "how a worker finds what its objective has started",
}


@cache
def reference() -> ModuleType:
    """The module that makes the reference, which is a script and no part of a package."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        module = importlib.import_module("reference")
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return module


@cache
def page(name: str) -> str:
    rendered = reference().PAGES[name]()
    assert isinstance(rendered, str)
    return rendered


def rows(name: str) -> dict[str, list[str]]:
    """A page's table rows by their first cell, without its backticks."""
    found = re.findall(r"^\| `(.+?)`.*\|$", page(name), re.MULTILINE)
    lines = re.findall(r"^\| `.+\|$", page(name), re.MULTILINE)
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return dict(zip(found, split, strict=True))


COMMANDS = dict(reference().walk(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    section = page("commands").split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert len(section.split("```")[0].split()) >= 4, "what does it do?"
    explained = re.findall(r"^\| `(.+?)` \| (.+?) \|$", section, re.MULTILINE)
    for parameter in COMMANDS[name].params:
        if "--help" in parameter.opts:
            continue
        typed = [*parameter.opts, parameter.metavar or ""]
        meanings = [meaning for usage, meaning in explained if any(word in re.split(r"[ ,]+", usage) for word in typed)]
        assert meanings, parameter.name
        assert all(re.sub(r"\[.*\]", "", meaning).strip() for meaning in meanings), f"{parameter.name} has no help"


def parts() -> Iterator[type[Part]]:
    yield from (StudySpec, Program, Reports)
    for field in StudySpec.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Part):
            yield field.annotation


@pytest.mark.parametrize("part", [*parts()], ids=lambda part: part.__name__)
def test_every_key_of_a_study_file_is_explained(part: type[Part]) -> None:
    meanings = reference().described(part.__doc__, part.model_fields)
    for name in part.model_fields:
        assert meanings.get(name), f"{name}: missing in the docstring of {part.__name__}"
        assert f"| `{name}` |" in page("study-file")


def test_every_variable_is_explained() -> None:
    used = set()
    for file in (ROOT / "studies").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= {node.value} if re.fullmatch(r"STUDIES_[A-Z_]+", node.value) else set()
    assert {"STUDIES_HOME", "STUDIES_STORAGE"} <= used
    explained = rows("variables")
    guides = [(ROOT / "docs/guides" / guide).read_text(encoding="utf-8") for guide in ("programs.md", "dashboard.md")]
    given = set(re.findall(r"^\| `(STUDIES_[A-Z_]+)` \| .{10,} \|$", "\n".join(guides), re.MULTILINE))
    assert used - set(INTERNAL) - given == set(explained)
    assert given <= used
    assert len(explained) == len(Settings.__dataclass_fields__)
    assert all(all(cells) for cells in explained.values())


def test_every_error_and_exit_code_is_explained() -> None:
    explained = rows("errors")
    for error in reference().all_errors():
        assert explained[error.__name__][1] == f"`{error.exit_code}`"
        assert len(explained[error.__name__][2]) > 5
    for code in errors.EXIT_CODES:
        assert str(code) in explained
        assert f"| {code} |" in (ROOT / "docs/guides/when-something-failed.md").read_text() or code == errors.DONE


def test_every_reason_is_explained() -> None:
    for reason in names.Reason:
        assert re.search(rf"\| `{reason}` \| .{{10,}} \|", page("trials")), reason


def test_every_verdict_is_explained() -> None:
    explained = rows("verdicts")
    assert set(explained) == {kind.value for kind in VerdictKind}
    assert all(cells[1] for cells in explained.values())


@pytest.mark.parametrize(
    "module",
    [*(sys.modules[type(each).__module__] for each in checks.load().values()), findings, program],
    ids=lambda module: module.__name__,
)
def test_every_mistake_that_a_check_finds_is_explained(module: ModuleType) -> None:
    named = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            first = node.args[0] if node.args else next(k.value for k in node.keywords if k.arg == "name")
            named.add(ast.literal_eval(first))
    assert named
    for name in named:
        assert f"| `{name}` |" in page("checks")


def test_every_exported_column_is_explained() -> None:
    head = (ROOT / "tests/golden/study.csv").read_text().splitlines()[0].split(",")
    groups = {reference()._column(name) for name in head}
    assert "METRIC" not in groups, "a column without an explanation in docs/reference.py"
    assert groups <= set(rows("files"))


@pytest.mark.parametrize("name", reference().PAGES)
def test_every_page_has_a_title_and_a_place_in_the_navigation(name: str) -> None:
    assert page(name).startswith("# ")
    assert f'"reference/{name}.md"' in (ROOT / "docs/zensical.toml").read_text()


def in_the_layout() -> set[str]:
    """The files and folders that the tree in CONTRIBUTING.md names, as paths; a folder ends in a slash."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Layout\n\n```text\n")[2]
    found = set()
    above: list[str] = []
    for line in text.partition("```")[0].splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        depth = (len(line) - len(line.lstrip())) // 2
        found |= {"".join([*above[:depth], name]) for name in names}
        above[depth:] = names[:1]
    return found


def test_the_layout_is_the_tree() -> None:
    """Every folder of the packages, and every file beside their `__init__.py`; and nothing that is not there."""
    there = set()
    for package in (ROOT / "studies", ROOT / "objectives"):
        for path in (package, *package.rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.is_dir() and path.name != "__pycache__" and any(one.is_file() for one in path.iterdir()):
                there.add(f"{name}/")
            elif path.parent == package and path.suffix == ".py" and not path.name.startswith("__"):
                there.add(name)
    assert in_the_layout() - {"tests/", "docs/", "benchmarks/"} == there


@pytest.mark.parametrize(
    "folder", ["check", "model", "record", "report", "run", "spec", "storage", "storage.team", "view", "web"]
)
def test_a_folder_says_what_each_of_its_modules_is_for(folder: str) -> None:
    """The others hold one kind of thing each, a file for each of them."""
    package = importlib.import_module(f"studies.{folder}")
    assert package.__doc__ is not None
    files = [*Path(package.__path__[0]).glob("[a-z]*")]
    listed = set(" ".join(re.findall(r"^((?:[a-z_]+ )+) +(?=\S)", package.__doc__, re.MULTILINE)).split())
    assert listed <= {file.stem for file in files}
    modules = {file.stem for file in files if file.suffix == ".py"}
    assert modules <= listed | set(re.findall(r"`(\w+)`", package.__doc__))
