"""A machine from which studies are launched on a stand-in for a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..acceptance.conftest import Studies
from .cluster import Cluster

ON_KUBERNETES = ("launch", "./counted.yaml", "--on", "kubernetes", "--kubernetes", "image=lab/counted:1", "--workers")


def as_others_see_it(url: str) -> str:
    """The address of a server of this machine by a name that pods could look up, if there were such a host."""
    before, _, rest = url.partition("@127.0.0.1:")
    return f"{before}@db.lab.example:{rest}?hostaddr=127.0.0.1"


@contextmanager
def cluster_for(machine: Studies, database: str) -> Iterator[Cluster]:
    """A cluster whose image has the machine's working directory; `kubectl` is in the machine's PATH."""
    directory = Path(tempfile.mkdtemp(dir=machine.directory))
    with Cluster(directory, machine.directory) as cluster:
        machine.environment["PATH"] = f"{cluster.bin}:{machine.environment['PATH']}"
        machine.environment["STUDIES_STORAGE"] = as_others_see_it(database)
        yield cluster
