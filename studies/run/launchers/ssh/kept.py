"""What lasts on a machine, in `~/.cache/studies`: files and environments, each under the hash of what is in it.

Sent with `remote`; knows only the library.

What a launch uses it holds, by a shared lock on a file beside it. Its supervisor inherits the lock; machines that share
a home see it, too. When something new has come, what nobody holds is removed:

environments  those that neither are new nor were the last other one to be used, for each version of Python
files         those that no launch has used for UNUSED_DAYS, unless a program has written something beside its code
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

PLACE = "/tmp"  # noqa: S108 - of the launches' directories: a socket's path is short, and a home may be shared
WHOLE = "whole"  # in an environment where everything is installed; its time is that of the last use
PARTIAL = "partial-"  # what comes or goes begins with it
UNUSED_DAYS, PARTIAL_DAYS = 30, 1
DAY_S = 24 * 3600.0
NO_ROOM_BYTES = 2**20
COLLECTED = "Installing collected packages:"  # pip's last word for minutes
TAIL_LINES, MOST_SAID = 5, 600  # of a command that failed; characters
SAY_S, POLL_S, LINE, CHUNK = 15.0, 1.0, 100, 65536  # between two lines of one that runs; characters of each; bytes

_held: dict[Path, TextIO] = {}


class Refused(Exception):
    """A sentence for the person who launched."""


def say(line: str) -> None:
    """Tell the launcher something before its request is answered."""
    print(json.dumps({"says": line}), flush=True)


def why(error: OSError) -> str:
    """Return what went wrong, as a sentence's part: of a full disk, which one it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{_full_disks() or 'no room is left there'} ({error.strerror}); make room and type the same again"
    return str(error)


def _full_disks() -> str:
    full = [str(path) for path in (cache(), Path(PLACE)) if shutil.disk_usage(path).free < NO_ROOM_BYTES]
    return f"no room is left in {' and '.join(full)}" if full else ""


def cache() -> Path:
    """Return where everything that lasts is kept."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "studies"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


# --- files ------------------------------------------------------------------------------------------------------------


def keep(digest: str, n_bytes: int) -> str | None:
    """Return the directory with the files of this digest. n_bytes: how many follow; 0 asks whether it is there."""
    path = cache() / "files" / digest
    content = sys.stdin.buffer.read(n_bytes)
    path.parent.mkdir(exist_ok=True)
    _hold(path)
    if path.is_dir():
        os.utime(path)
    elif not n_bytes:
        return None
    else:
        _unpack(path, digest, content)
        with suppress(OSError):  # no launch fails for what is old
            remove_old_files(path.parent)
    return str(path)


def _unpack(path: Path, digest: str, content: bytes) -> None:
    tar = gzip.decompress(content)
    if hashlib.sha256(tar).hexdigest() != digest:
        raise Refused("the files that arrived are not those that were sent")
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as files:
            files.extraction_filter = lambda entry, _: entry  # it is one's own, and a link may lead anywhere
            files.extractall(partial)  # noqa: S202
        with suppress(OSError):  # another launch was faster
            partial.rename(path)
    except OSError as error:
        raise Refused(why(error)) from None  # before what is half there goes
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_old_files(place: Path) -> None:
    """Remove what no launch has used for long and no program has written to, and say so."""
    old = [path for path in _kept_in(place) if _age_days(path) > UNUSED_DAYS and not _was_written_to(path)]
    if sizes := _remove_unused(old):
        copies = "1 copy" if len(sizes) == 1 else f"{len(sizes)} copies"
        what = f"removed {copies} of code that no launch has used for {UNUSED_DAYS} days"
        say(f"{what}: {_written(sum(sizes.values()))}")


def _was_written_to(path: Path) -> bool:
    """Whether there are files that were not sent: what is sent has no time."""
    files = (Path(root, name) for root, _, names in os.walk(path) for name in names)
    return any(file.suffix != ".pyc" and not file.is_symlink() and file.stat().st_mtime for file in files)


# --- environments -----------------------------------------------------------------------------------------------------


def environment(key: str) -> Path:
    """Return where the private environment of this key is, for this Python."""
    return cache() / "environments" / f"{key}-{sys.version_info[0]}.{sys.version_info[1]}"


def is_installed(key: str) -> bool:
    """Whether the private environment of this key is there and whole."""
    return (environment(key) / WHOLE).exists()


def environments() -> list[Path]:
    """Return all that are there, for any Python."""
    return _kept_in(cache() / "environments")


def install(key: str, requirements: list[str], constraints: list[str]) -> str:
    """Return the Python of the private environment of this key, which is made once."""
    path = environment(key)
    path.parent.mkdir(exist_ok=True)
    python, whole = path / "bin" / "python", path / WHOLE
    lock = _hold(path)
    while not whole.exists():
        _take(lock, fcntl.LOCK_EX)
        is_new = not whole.exists()
        if is_new:
            torch = next((line.replace("==", " ") for line in constraints if line.startswith("torch==")), "")
            what = f"{torch} and " if torch else ""
            say(f"installing {what}what it takes to run workers, once: minutes, and with CUDA 6 GB of disk")
            shutil.rmtree(path, ignore_errors=True)
            try:
                _make(path, python, requirements, constraints)
            except BaseException:  # half an environment has gigabytes
                shutil.rmtree(path, ignore_errors=True)
                raise
            whole.touch()
        _take(lock, fcntl.LOCK_SH)
        if is_new:
            with suppress(OSError):
                remove_old_environments(path)
    whole.touch()
    return str(python)


def remove_old_environments(new: Path) -> None:
    """Remove those of the same Python that are neither new nor the last other one to be used, and say so."""
    version = new.name.rpartition("-")[2]
    others = [path for path in _kept_in(new.parent) if path != new and path.name.endswith(f"-{version}")]
    used_at = {path: _used_at(path) for path in others}
    others.sort(key=lambda path: used_at[path], reverse=True)
    n_last = 1 if others and used_at[others[0]] else 0
    for path, size in _remove_unused(others[n_last:]).items():
        last = time.strftime("was last used on %Y-%m-%d", time.localtime(used_at[path]))
        say(f"removed an environment that {last if used_at[path] else 'was never whole'}: {_written(size)}")


def _used_at(path: Path) -> float:
    """Return when an environment was last used, as a time; 0 for one that is not whole."""
    with suppress(OSError):
        return (path / WHOLE).stat().st_mtime
    return 0.0


# --- who uses what ----------------------------------------------------------------------------------------------------


def held() -> list[int]:
    """Return the file descriptors of the locks that this process holds."""
    return [lock.fileno() for lock in _held.values()]


def _hold(path: Path) -> TextIO:
    """Keep others from removing a path for as long as this process, or one that inherits the lock, lives."""
    if path not in _held:
        _held[path] = lock = _lock_file(path).open("a+")
        _take(lock, fcntl.LOCK_SH)
    return _held[path]


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _take(lock: TextIO, how: int) -> None:
    """Wait until no other launch installs the same here."""
    try:
        return fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another launch installs the same there; waiting for it")
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(lock, how | fcntl.LOCK_NB)
        check_launcher(select.select([0], [], [], POLL_S)[0])


def _kept_in(place: Path) -> list[Path]:
    """Return what is kept in a directory; what killed processes left half there, or half removed, goes after a day."""
    found = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    for path in found:
        if path.name.startswith(PARTIAL) and _age_days(path) > PARTIAL_DAYS:
            shutil.rmtree(path, ignore_errors=True)
    return [path for path in found if not path.name.startswith(PARTIAL)]


def _age_days(path: Path) -> float:
    try:
        return (time.time() - path.stat().st_mtime) / DAY_S
    except OSError:  # it goes at this moment
        return 0.0


def _remove_unused(paths: list[Path]) -> dict[Path, int]:
    """Remove of these what nobody uses; return those that have gone, and how many bytes each had."""
    in_use = _open_ones(paths)
    sizes = {path: _remove(path) for path in paths if path not in in_use}
    return {path: size for path, size in sizes.items() if size is not None}


def _remove(path: Path) -> int | None:
    """Remove what nobody holds; return how many bytes it had, or None where it stays."""
    with suppress(OSError), _lock_file(path).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
        path.rename(gone)
        size = sum(os.lstat(Path(root, name)).st_size for root, _, names in os.walk(gone) for name in names)
        shutil.rmtree(gone, ignore_errors=True)
        return size
    return None


def _open_ones(paths: list[Path]) -> set[Path]:
    """Return from which of these a process of this machine was started, or has loaded something, or where it works."""
    names = {path: (os.fsencode(path), os.fsencode(path.resolve())) for path in paths}
    found: set[Path] = set()
    for process in Path("/proc").glob("[0-9]*") if paths else ():
        with suppress(OSError):  # another user's, or it has ended
            known = [(process / what).read_bytes() for what in ("cmdline", "environ", "maps")]
            content = b"".join([*known, os.fsencode((process / "cwd").readlink())])
            found.update(path for path, its in names.items() if any(name in content for name in its))
    return found


def _written(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


# --- pip --------------------------------------------------------------------------------------------------------------


def _make(path: Path, python: Path, requirements: list[str], constraints: list[str]) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", str(path)], path)
    _run([str(python), "-I", "-m", "ensurepip", "--default-pip"], path)  # venv would not say why it fails
    pinned, temporary = path / "constraints.txt", path / "tmp"
    pinned.write_text("".join(f"{line}\n" for line in constraints))
    temporary.mkdir()  # pip unpacks there: /tmp may be small, and this disk is known to have room
    # Python compiles what is imported, which is a small part of it.
    options = ["--no-input", "--no-compile", "--progress-bar", "off", "--constraint", str(pinned)]
    _run([str(python), "-m", "pip", "install", *options, *requirements], path, TMPDIR=str(temporary))
    shutil.rmtree(temporary, ignore_errors=True)


def _run(command: list[str], path: Path, **variables: str) -> None:
    """Run a command to its end, or the launcher's; say now and then how far it is. Raises Refused where it fails.

    path: of the environment that it makes.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        lines = _heard(process, path)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        first = next((at for at, line in enumerate(lines) if line.startswith("ERROR:")), -TAIL_LINES)
        said = "; ".join(filter(None, [_full_disks(), " ".join(lines[first:])]))
        raise Refused(f"`{' '.join(command[1:4])}` exited with {process.returncode}: {said[:MOST_SAID]}")


def _heard(process: subprocess.Popen[bytes], path: Path) -> list[str]:
    """Return the lines that a process has printed, once it has ended."""
    assert process.stdout is not None
    output, rest, lines = process.stdout.fileno(), b"", list[str]()
    say_at = time.monotonic() + SAY_S
    while True:
        ready = select.select([0, output], [], [], POLL_S)[0]
        check_launcher(ready)
        if output in ready:
            content = os.read(output, CHUNK)
            *whole, rest = (rest + content).split(b"\n")
            lines += [line for one in whole if (line := one.decode(errors="replace").strip())]
            if not content:
                process.wait()
                return lines
        if lines and time.monotonic() > say_at:
            say_at = time.monotonic() + SAY_S
            say(_so_far(lines, path))


def _so_far(lines: list[str], path: Path) -> str:
    """Return how far pip is. path: of the environment."""
    listed = next((line for line in reversed(lines) if line.startswith(COLLECTED)), None)
    if listed is None:
        return lines[-1] if len(lines[-1]) <= LINE else f"{lines[-1][:LINE]}..."
    n_packages, n_done = listed.count(",") + 1, len([*path.glob("lib/python*/site-packages/*.dist-info")])
    return f"unpacking: {min(n_done, n_packages)} of {n_packages} package{'s'[: n_packages != 1]}"


def check_launcher(ready: list[Any]) -> None:
    """End where nobody waits for this any more: stdin brings nothing else while a request is answered."""
    if 0 in ready:
        sys.exit()
