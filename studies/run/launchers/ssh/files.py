"""What is sent to a machine: this package as it is here, and the code of the working directory.

Both are a tar whose bytes depend on names and content alone, so that a digest names it: what a machine has already is
not sent again. Of the working directory's code, git says what belongs to it: tracked files as they are now, and new
ones, but nothing that is ignored. Without git, it is what the objective is made of (`studies.run.source`).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from studies.errors import WrongInput
from studies.run.objective import code_of
from studies.run.provenance import SNAPSHOT, of_checkout
from studies.spec import Program, StudySpec
from studies.words import data_size as size

PACKAGES = ("studies", "objectives")  # what this distribution consists of
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Files:
    """A tree of files."""

    tar: bytes

    @cached_property
    def digest(self) -> str:
        """The sha256 of the tar."""
        return hashlib.sha256(self.tar).hexdigest()

    @cached_property
    def compressed(self) -> bytes:
        """What is sent."""
        return gzip.compress(self.tar, compresslevel=6, mtime=0)


def package() -> Files:
    """Return this package as Python finds it here, with the facts of its distribution."""
    found: dict[str, Path | bytes] = {}
    for name in PACKAGES:
        root = _root_of(name)
        if root is not None:
            inside = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            found |= {f"{name}/{path.relative_to(root).as_posix()}": path for path in inside}
    facts = metadata.distribution("studies")
    found[f"studies-{facts.version}.dist-info/METADATA"] = str(facts.read_text("METADATA")).encode()
    return Files(_tar(found))


def snapshot(spec: StudySpec, directory: Path) -> Files:
    """Return the code of the working directory. Raises WrongInput for more than code can be."""
    listed = _of_git(directory)
    listed = _of_objective(spec, directory) if listed is None else listed
    # This package is sent as a whole, where its own checkout is the directory.
    own = tuple(f"{root}{os.sep}" for name in PACKAGES if (root := _root_of(name)) is not None)
    names = [name for name in listed if not str(directory / name).startswith(own)]
    found: dict[str, Path | bytes] = {name: _there(directory / name, directory) for name in names}
    _check_size({name: path.lstat().st_size for name, path in found.items() if isinstance(path, Path)}, directory)
    found[SNAPSHOT] = json.dumps(of_checkout(), sort_keys=True).encode()
    return Files(_tar(found))


def _of_git(directory: Path) -> list[str] | None:
    """Return the files below a directory that git knows or would add, or None outside a checkout."""
    found: set[bytes] = set()
    for kind in (["--cached", "--recurse-submodules"], ["--others", "--exclude-standard"]):  # not to be listed at once
        try:
            done = subprocess.run(["git", "ls-files", "-z", *kind], cwd=directory, capture_output=True, check=False)
        except OSError:
            return None
        if done.returncode:
            return None
        found.update(done.stdout.split(b"\0"))
    names = sorted(os.fsdecode(name) for name in found if name)
    return [name for name in names if (directory / name).is_file() or (directory / name).is_symlink()]


def _of_objective(spec: StudySpec, directory: Path) -> list[str]:
    """Return the files that an objective is made of, and a data set that is a file beside them."""
    below = Path(spec.objective.directory) if isinstance(spec.objective, Program) else Path()
    sys.path.insert(0, str(directory))
    try:
        names = [(below / name).as_posix() for name in code_of(spec.objective)]
    finally:
        sys.path.remove(str(directory))
    names += [spec.dataset] if spec.dataset and not Path(spec.dataset).is_absolute() else []
    return sorted(name for name in names if (directory / name).is_file() and not Path(name).is_absolute())


def _there(path: Path, directory: Path) -> Path:
    """Return the file that is sent: that of a relative link out of the directory, which would lead nowhere there."""
    if not path.is_symlink() or path.readlink().is_absolute() or not path.is_file():
        return path
    target = path.resolve()
    return path if target.is_relative_to(directory.resolve()) else target


def _root_of(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found is not None and found.origin else None


def _check_size(sizes: Mapping[str, int], directory: Path) -> None:
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise WrongInput(
            reason=f"The code in {directory} has {size(sum(sizes.values()))}, of which {largest} has "
            f"{size(sizes[largest])}; expected at most {size(MAX_BYTES)}: put data into .gitignore, and each machine's "
            "copy where its STUDIES_DATA says."
        )


def _tar(files: Mapping[str, Path | bytes]) -> bytes:
    """Return a tar of files, given by name: whose they are, and how old, is not in it."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            if isinstance(content, bytes):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                _add(archive, name, content)
    return tar.getvalue()


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = archive.gettarinfo(path, name)
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    if entry.isreg():
        with path.open("rb") as file:
            archive.addfile(entry, file)
    else:
        archive.addfile(entry)
