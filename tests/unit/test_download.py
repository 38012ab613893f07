"""Downloads from a real server on its bad days: whole and checked in the end, or one clause that says why not."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studies.data import download as module
from studies.data.download import DownloadFailed, download, unpack

from ..web import Site, serving

CONTENT = random.Random(0).randbytes(5_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    with serving() as site:
        site.files["/a.bin"] = CONTENT
        yield site


def fetch(site: Site, target: Path, md5: str = "", path: str = "/a.bin") -> list[int]:
    seen: list[int] = []
    download([site.url + path], target, md5, lambda n_bytes, total: seen.append(n_bytes))
    return seen


def left(target: Path) -> list[str]:
    """What is in the directory besides the target."""
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_file_comes_whole_with_progress_and_its_checksum_is_kept(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.bin"
    seen = fetch(site, target)
    assert target.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert left(target) == ["a.bin.sha256"]
    subprocess.run(["sha256sum", "-c", "--quiet", "a.bin.sha256"], cwd=target.parent, check=True)


def test_what_is_there_is_checked_and_not_asked_for(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    fetch(site, target)
    fetch(site, target)
    assert len(site.asked) == 1
    target.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(DownloadFailed, match=r"a\.bin, which you may remove, has the sha256 .* when it was first"):
        fetch(site, target)
    with pytest.raises(DownloadFailed, match=f"not {MD5} as published"):
        fetch(site, target, MD5)
    assert len(site.asked) == 1


@pytest.mark.parametrize("md5", [MD5, ""])
def test_a_cut_connection_goes_on_where_it_ended(site: Site, tmp_path: Path, md5: str) -> None:
    site.cut_after, site.n_cuts = HALF, 1
    fetch(site, tmp_path / "a.bin", md5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert site.asked == [("/a.bin", None), ("/a.bin", f"bytes={HALF}-")]


def test_a_download_ended_by_a_signal_goes_on_in_the_next_process(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    code = f"""
from pathlib import Path
from studies.data.download import download
import os, signal
def told(n_bytes, total):
    if n_bytes > {HALF}:
        os.kill(os.getpid(), signal.SIGKILL)
download([{site.url + "/a.bin"!r}], Path({str(target)!r}), "", told)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not target.exists()
    fetch(site, target)
    assert target.read_bytes() == CONTENT
    assert int(str(site.asked[-1][1]).removeprefix("bytes=").rstrip("-")) >= HALF
    assert left(target) == ["a.bin.sha256"]


def interrupted(site: Site, target: Path) -> None:
    """Leave half of the file as a part."""
    site.cut_after, site.ranges = HALF, False
    with pytest.raises(DownloadFailed, match=f"ended after {HALF:,} of {len(CONTENT):,} bytes"):
        fetch(site, target)
    assert (target.parent / ".a.bin.part").stat().st_size == HALF
    site.cut_after, site.ranges = None, True


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    interrupted(site, target)
    site.ranges = False
    fetch(site, target)
    assert site.asked[-1] == ("/a.bin", f"bytes={HALF}-")
    assert target.read_bytes() == CONTENT


def test_halves_of_two_files_are_never_put_together(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    interrupted(site, target)
    site.files["/a.bin"] = other = CONTENT[::-1]
    fetch(site, target)
    assert target.read_bytes() == other


def test_a_part_of_which_nobody_knows_what_it_is_part_of_is_not_used(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    site.tags = False
    interrupted(site, target)
    fetch(site, target)
    assert site.asked[-1] == ("/a.bin", None)  # without a tag or a checksum nothing would tell
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("surplus", [b"", b"more than there is"])
def test_a_part_that_is_whole_or_more(site: Site, tmp_path: Path, surplus: bytes) -> None:
    target = tmp_path / "a.bin"
    interrupted(site, target)
    (tmp_path / ".a.bin.part").write_bytes(CONTENT + surplus)
    fetch(site, target, MD5)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_to_go_on_from(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    site.files["/a.bin"] = b"other"
    with pytest.raises(DownloadFailed, match=r"what came for a\.bin has the md5 .*, not .* as published"):
        fetch(site, target, MD5)
    assert left(target) == []


def test_another_content_than_the_first_time_is_told(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    fetch(site, target)
    target.unlink()
    site.files["/a.bin"] = b"other"
    with pytest.raises(DownloadFailed, match=r"has the sha256 .* as when it was first downloaded .* remove .*sha256"):
        fetch(site, target)
    assert left(target) == ["a.bin.sha256"]


def test_a_redirect_is_followed_with_its_range(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    site.moved["/old"] = "/a.bin"
    site.cut_after, site.n_cuts = HALF, 1
    fetch(site, target, path="/old")
    assert site.asked[-1] == ("/a.bin", f"bytes={HALF}-")
    assert target.read_bytes() == CONTENT


def test_what_is_not_there_or_no_file(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"/b\.bin answered 404 \(Not Found\)"):
        fetch(site, tmp_path / "b.bin", path="/b.bin")
    site.kind = "text/html; charset=utf-8"
    with pytest.raises(DownloadFailed, match="answered with a web page"):
        fetch(site, tmp_path / "a.bin")
    site.moved["/round"] = "/round"
    with pytest.raises(DownloadFailed, match="answered 302"):
        fetch(site, tmp_path / "c.bin", path="/round")
    assert list(tmp_path.iterdir()) == []


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for url, reason in ((f"http://127.0.0.1:{port}/a", "refused"), ("http://no.invalid/a", "does not answer")):
        with pytest.raises(DownloadFailed, match=reason):
            download([url], tmp_path / "a", "", lambda n_bytes, total: None)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DownloadFailed, match=r"does not answer .*timed out"):
            download([f"http://127.0.0.1:{port}/a"], tmp_path / "a", "", lambda n_bytes, total: None)


def test_the_next_address_is_tried(site: Site, tmp_path: Path) -> None:
    download([site.url + "/gone", site.url + "/a.bin"], tmp_path / "a.bin", MD5, lambda n_bytes, total: None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_full_disk(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".a.bin.part").symlink_to("/dev/full")
    with pytest.raises(DownloadFailed, match=r"cannot be written \(No space left on device\)"):
        fetch(site, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_a_place_that_is_no_directory(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadFailed, match="file cannot be written"):
        fetch(site, tmp_path / "file" / "a.bin")


def test_two_at_once(site: Site, tmp_path: Path) -> None:
    with (tmp_path / ".a.bin.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadFailed, match="another process is fetching it"):
            fetch(site, tmp_path / "a.bin")


def archive(path: Path, names: list[str], mode: str = "w:bz2") -> None:
    with tarfile.open(path, mode) as file:
        for name in names:
            content = name.encode() * 100_000
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))


def test_an_archive_gives_the_files_that_are_asked_for(tmp_path: Path) -> None:
    archive(tmp_path / "a.tar.bz2", ["it/one.gz", "../../two.gz", "/abs/three.gz", "four.gz"])
    seen: list[int] = []
    unpack(tmp_path / "a.tar.bz2", ["one.gz", "two.gz", "three.gz"], lambda n_bytes, total: seen.append(n_bytes))
    assert left(tmp_path / "a.tar.bz2") == ["one.gz", "three.gz", "two.gz"]
    assert (tmp_path / "one.gz").read_bytes() == b"it/one.gz" * 100_000
    assert seen
    time_of = (tmp_path / "one.gz").stat().st_mtime_ns
    time.sleep(0.01)
    unpack(tmp_path / "a.tar.bz2", ["one.gz"], lambda n_bytes, total: None)
    assert (tmp_path / "one.gz").stat().st_mtime_ns == time_of
    with pytest.raises(DownloadFailed, match=r"holds no five\.gz"):
        unpack(tmp_path / "a.tar.bz2", ["five.gz"], lambda n_bytes, total: None)


@pytest.mark.parametrize("mode", ["w:bz2", "w:gz", "w"])
@pytest.mark.parametrize("kept", [0, 40, 700])
def test_a_damaged_archive_leaves_no_half_file(tmp_path: Path, mode: str, kept: int) -> None:
    path = tmp_path / "a.tar"
    archive(path, ["one.gz"], mode)
    os.truncate(path, min(kept, path.stat().st_size - 50))
    with pytest.raises(DownloadFailed, match=r"a\.tar (is damaged|holds no one\.gz)"):
        unpack(path, ["one.gz"], lambda n_bytes, total: None)
    assert left(path) == []
