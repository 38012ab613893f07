"""The pages of the documentation: their code blocks, and running them as a reader would.

What is written before a block as a comment changes how it runs:

    <!-- not run: REASON -->              it is not
    <!-- exits with: 2 -->                its last command fails so
    <!-- tested with: OLD -> NEW -->      a smaller budget; OLD is in the block

A block whose fence says title="FILE" is a file of that name. A console block's commands are its lines after `$ `.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL, PYTHON, PLAIN = ("console",), ("python",), ("yaml", "text")
PAGE_S = 600  # ten times what a page takes, for a machine that is busy
PROGRAMS = {"Rscript": "r-base-core"}  # that pages start, beside what Python brings: their Debian packages
BLOCK = re.compile(
    r'(?P<comments>(?:^<!-- .*? -->\n)*)^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!-- (not run|exits with|tested with): (.+?) -->")


@dataclass(frozen=True)
class Block:
    """One code block. line: of the page. skipped: why it is not run, if it is not."""

    line: int
    language: str
    title: str | None
    text: str
    skipped: str | None = None
    exit_code: int = 0

    @property
    def commands(self) -> str:
        """The shell commands of a console block."""
        lines = self.text.splitlines()
        return "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's code blocks. Raises AssertionError for one that no test could run, and for a wrong comment."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        where = f"{page.name}:{line}"
        comments = COMMENT.findall(found["comments"])
        assert len(comments) == found["comments"].count("<!--"), f"{where}: an unknown comment"
        given = dict(comments)
        content = found["text"]
        if "tested with" in given:
            old, arrow, new = given["tested with"].partition(" -> ")
            assert arrow, f"{where}: `tested with` lacks ` -> `"
            assert old in content, f"{where}: {old!r} is not in the block"
            content = content.replace(old, new)
        block = Block(line, found["language"], found["title"], content, given.get("not run"))
        if "exits with" in given:
            block = Block(**asdict(block) | {"exit_code": int(given["exits with"])})
        assert block.language in (*SHELL, *PYTHON, *PLAIN), f"{where}: a block of {block.language or 'no language'}"
        assert block.language not in SHELL or block.commands, f"{where}: no line begins with `$ `"
        yield block


def run(page: Path) -> None:
    """Run a page's blocks in their order, in a fresh directory with a home of its own.

    Raises AssertionError with what the page printed, or what is to be installed first.
    """
    for program, package in PROGRAMS.items():
        needed = program in page.read_text(encoding="utf-8") and shutil.which(program) is None
        assert not needed, f"{page.name} starts {program}, which is not installed; on Debian: apt-get install {package}"
    directory = Path(tempfile.mkdtemp(prefix="studies-docs-"))
    directory.chmod(0o755)  # a root's PostgreSQL runs as somebody else
    try:
        (directory / ".venv").symlink_to(sys.prefix)
        steps = [asdict(block) | {"commands": block.commands} for block in blocks(page) if block.skipped is None]
        _drive(page, steps, directory)
    finally:
        for home in ("home", "elsewhere"):
            if (directory / home).is_dir():
                EmbeddedServer(Settings(None, directory / home, directory / home / "data")).down()
        shutil.rmtree(directory, ignore_errors=True)


def _drive(page: Path, steps: list[dict[str, object]], directory: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    environment |= {
        "STUDIES_HOME": str(directory / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(directory),
        "COLUMNS": "120",
    }
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("drive.py"))],
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(json.dumps(steps), timeout=PAGE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        raise AssertionError(f"{page.name} took more than {PAGE_S} s\n{printed}") from None
    assert process.returncode == 0, f"{page.name}\n{printed}"
