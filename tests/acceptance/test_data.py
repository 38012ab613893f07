"""`studies data list`, `fetch` and `prepare`, as a user types them."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ..waiting import PATIENCE_S, wait_for
from ..web import Site, serving
from .conftest import Studies
from .test_bad_input import sentence
from .test_interrupted import SAID

ROWS = b"x,y\n" + b"1,2\n" * 1_000_000

OBJECTIVE = """
from pathlib import Path
from objectives import DataError, Download, Objective, Origin
from objectives._data.kit.cache import prepared
from objectives._data.kit.hashes import file_sha256

class Rows:
    def __init__(self, name, sha256, directory):
        self.name, self.sha256, self.directory, self.summary = name, sha256, directory, {"rows": 1_000_000}

class Table(Objective):
    metrics = {"loss": "minimize"}
    datasets = {"table": "Rows of two numbers.", "bought": "Rows that cost money."}
    origins = {
        "table": Origin("CC0; somebody", [Download("mine/table.csv", ["URL/table.csv"], "MD5")]),
        "bought": Origin("all rights reserved", [Download("mine/bought.csv", page="https://example.org/shop")]),
    }
    space = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}

    def prepare(self, dataset, data, cache, progress):
        [path] = self.files(dataset, data) if dataset in self.datasets else [Path(dataset)]
        def build(directory):
            progress("reading", 0.5)
            content = path.read_bytes()
            if not content.startswith(b"x,y"):
                raise DataError(f"{path}, line 1: no header; expected x,y")
            (directory / "rows").write_bytes(content)
        sha256 = file_sha256(path, cache, progress)
        return Rows(dataset, sha256, prepared(cache, f"rows-{sha256[:9]}", build, progress))

    def start(self, params, data, *, seed, device):
        raise AssertionError("`studies data` trains nothing")
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.files["/table.csv"] = ROWS
        yield site


@pytest.fixture
def mine(studies: Studies, site: Site) -> Studies:
    """A user's own objective, whose data sets are on `site`."""
    md5 = hashlib.md5(ROWS).hexdigest()
    (studies.directory / "table.py").write_text(OBJECTIVE.replace("URL", site.url).replace("MD5", md5))
    return studies


OWN = ("--objective", "table:Table")


def row(studies: Studies, name: str) -> list[str]:
    """The cells of a data set in `studies data list`."""
    lines = studies.told("data", "list", *OWN).stdout.splitlines()
    return next(re.split(r"  +", line) for line in lines if line.startswith(f"{name} "))


def test_from_missing_to_prepared(mine: Studies, site: Site) -> None:
    target = mine.directory / "home" / "data" / "mine" / "table.csv"
    assert row(mine, "table")[3:] == ["no", "-", "missing: `studies data fetch table`"]
    told = sentence(mine, "data", "prepare", "table", *OWN)
    assert f"put table.csv into {target.parent}; `studies data fetch table` gets what is missing" in told
    fetched = mine("data", "fetch", "table", *OWN)
    assert f"Fetched: {target}" in fetched.stderr
    assert fetched.stdout == ""
    assert target.read_bytes() == ROWS
    assert row(mine, "table")[3:] == ["no", "4.0 MB", f"ready at {target}"]
    prepared = mine("data", "prepare", "table", *OWN)
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in prepared.stdout.splitlines())
    assert facts["rows"] == "1,000,000"
    assert facts["peak memory"].endswith("of it before")
    assert facts["directory"].startswith(str(mine.directory / "home" / "prepared"))
    assert "Preparing: reading" in prepared.stderr
    assert row(mine, "table")[3:] == ["yes", "4.0 MB", f"ready at {target}"]
    n_asked = len(site.asked)
    assert "is there and as it should be" in mine("data", "fetch", "table", *OWN).stderr
    assert len(site.asked) == n_asked


def test_a_fetch_that_was_interrupted_goes_on(mine: Studies, site: Site) -> None:
    site.slow_s = 10.0
    process = mine.start("data", "fetch", "table", *OWN)
    part = mine.directory / "home" / "data" / "mine" / ".table.csv.part"
    wait_for(lambda: part.exists() and part.stat().st_size)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stdout, stderr) == (130, "", SAID)
    site.slow_s = 0.0
    mine("data", "fetch", "table", *OWN)
    assert site.asked[-1][1] is not None
    assert part.with_name("table.csv").read_bytes() == ROWS


def test_what_cannot_be_fetched_is_told_with_what_to_do(mine: Studies, site: Site) -> None:
    place = mine.directory / "home" / "data" / "mine"
    assert row(mine, "bought")[3:] == ["no", "-", f"missing: put bought.csv into {place}"]
    told = sentence(mine, "data", "fetch", "bought", *OWN, expect=1)
    assert f"download it from https://example.org/shop and put it into {place}." in told
    site.files["/table.csv"] = b"something else"
    told = sentence(mine, "data", "fetch", "table", *OWN, expect=1)
    assert "has the md5" in told
    assert f"get {site.url}/table.csv by hand and put it into {place}" in told
    site.files.clear()
    assert "answered 404" in sentence(mine, "data", "fetch", "table", *OWN, expect=1)
    assert "did you mean table?" in sentence(mine, "data", "fetch", "tabel", *OWN)
    assert "there is no module 'nowhere'" in sentence(mine, "data", "list", "--objective", "nowhere:X")


def test_one_s_own_file_is_prepared_ahead(mine: Studies) -> None:
    (mine.directory / "own.csv").write_bytes(ROWS)
    assert "own.csv" in mine("data", "prepare", "./own.csv", *OWN).stdout
    (mine.directory / "own.csv").write_bytes(b"1,2\n")
    assert "own.csv, line 1: no header" in sentence(mine, "data", "prepare", "./own.csv", *OWN)
    assert "--objective says whose form it has" in sentence(mine, "data", "prepare", "./own.csv")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list"], ["data", "list"], ["export", "--help"]])
def test_a_closed_pipe_ends_quietly(studies: Studies, arguments: list[str]) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    command = [sys.executable, "-m", "studies", *arguments]
    ended = subprocess.run(
        command, stdout=writable, stderr=subprocess.PIPE, cwd=studies.directory, env=studies.environment, check=False
    )
    os.close(writable)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_shipped_ones(studies: Studies) -> None:
    """Without a network: what ships is there, what does not is told."""
    studies.environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    assert "\n  fetch " in studies.told("data", expect=2).stderr
    listed = studies.told("data", "list").stdout
    assert re.search(r"^pricerunner +meli_cnn, meli_mlp +CC BY 4.0; .* no +\d+ kB +bundled$", listed, re.M)
    assert re.search(r"^simulated .* generated$", listed, re.M)
    assert re.search(r"^pmsm-v2 .* missing: put measures_v2.csv into .*home/data/pmsm$", listed, re.M)
    assert "there is nothing to fetch" in studies.told("data", "fetch", "sonnets").stderr
    failed = sentence(studies, "data", "fetch", "cifar10", expect=1)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz does not answer" in failed
    studies.told("data", "prepare", "mnist-5k")
    listed = studies.told("list").stdout
    assert re.search(r"^mnist-target +mnist-5k +prepared ", listed, re.M)
    assert re.search(r"^meli-cnn +pricerunner +not prepared yet ", listed, re.M)


def test_classes_that_are_too_small_are_left_out_when_asked(studies: Studies) -> None:
    rows = [
        f"word {'x' * row}yzz {name},{name}\n" for name, n in {"aaa": 9, "bbb": 9, "ccc": 1}.items() for row in range(n)
    ]
    (studies.directory / "titles.csv").write_text("title,category\n" + "".join(rows))
    own = ("--objective", "objectives.meli_mlp")
    told = sentence(studies, "data", "prepare", "titles.csv", *own)
    assert "leave out such classes with titles.csv:drop_classes_below=3" in told
    done = studies.told("data", "prepare", "titles.csv:drop_classes_below=3", *own).stdout
    assert re.search(r"^classes left out +1$", done, re.M)
    assert "known are drop_classes_below, drop_empty" in sentence(studies, "data", "prepare", "titles.csv:x=3", *own)
