"""Every SQL statement lives in `studies/storage`, under a name and with its reason; no other module contains any."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from studies.storage import sql_ledger

ROOT = Path(__file__).parents[2]
STORAGE = ROOT / "studies" / "storage"
SQL = ("sql", "sql_accounts", "sql_backup", "sql_copy", "sql_feasible", "sql_ledger", "sql_pages", "sql_team")
MODULES = [*SQL, "functions", "calls"]
STATEMENT = re.compile(
    r"\b(SELECT\s+.+\bFROM\b|SELECT\s+\w+\(|INSERT\s+INTO\b|UPDATE\s+[\w.]+\s+(\w+\s+)?SET\b|DELETE\s+FROM\b"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|SCHEMA|DATABASE|ROLE|OR\s+REPLACE|FUNCTION)\b|TRUNCATE\s+\w)",
    re.DOTALL,
)


def statements(source: str) -> list[int]:
    """Return the lines of a module at which a text begins that contains SQL; docstrings may speak of it."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [node.lineno for node, text in texts(tree) if node not in docstrings and STATEMENT.search(text)]


def texts(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Yield each text in or below a node; an f-string as one, with `x` for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node, node.value
    elif isinstance(node, ast.JoinedStr):
        yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


@pytest.mark.parametrize(
    "planted",
    [
        'ledger.run("SELECT study_id FROM studies")',
        'rows = run(f"""SELECT v.value\n  FROM {table} v""")',
        'run(f"""\nSELECT v.value\n  FROM trial_{kind}s v""")',
        'run("INSERT INTO trials (number) VALUES (1)")',
        'run("UPDATE studies.workers w SET ended_at = now()")',
        'run("DELETE " "FROM trials")',
        'run("CREATE TABLE IF NOT EXISTS seen (went text)")',
        'run("SELECT pg_backend_pid()")',
    ],
)
def test_sql_is_found(planted: str) -> None:
    assert statements(f'"""A module."""\n\n{planted}\n') == [3]


def test_other_words_are_not_sql() -> None:
    docstring, message = '"""SELECT x FROM y"""', '"Select one from these; update it, delete it"'
    assert statements(f"{docstring}\nsay({message})") == []


def test_no_module_outside_the_storage_contains_sql() -> None:
    modules = [path for package in ("studies", "objectives") for path in sorted((ROOT / package).rglob("*.py"))]
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules
        if STORAGE not in path.parents
        for line in statements(path.read_text(encoding="utf-8"))
    }
    assert len(modules) > 100
    assert found == set()


def test_within_the_storage_it_is_in_the_modules_for_it() -> None:
    modules = {path.stem for path in STORAGE.rglob("*.py") if statements(path.read_text(encoding="utf-8"))}
    assert modules == set(MODULES)


def test_what_may_be_large_is_sent_once() -> None:
    """The driver puts it into the text of the statement, each time that it is named."""
    assert sql_ledger.KEEP_CHECKPOINT.count("%(content)s") == 1


@pytest.mark.parametrize("module", MODULES)
def test_every_statement_is_described(module: str) -> None:
    """A comment stands above each, or above the group it is in."""
    source = (STORAGE / f"{module}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    named = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    named = [node for node in named if any(STATEMENT.search(text) for _, text in texts(node.value))]
    assert named
    for node in named:
        first = node.lineno - 1
        while lines[first - 1].strip():  # to the beginning of its group
            first -= 1
        assert lines[first].startswith("#"), f"{module}.py:{node.lineno}"
