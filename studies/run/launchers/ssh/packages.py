"""What a machine's private environment gets: what this package needs, in the versions that are here.

Only what follows a `+` in a version stays here: `2.11.0+cpu` here is to be `2.11.0` on a machine with a GPU.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from studies.settings import Settings

# Imported by every worker: what an environment that is named with --python has to have.
MODULES = ("torch", "optuna", "sqlalchemy", "psycopg2", "pydantic", "yaml", "numpy", "safetensors", "psutil", "pandas")


@dataclass(frozen=True)
class Packages:
    """requirements: what to install. constraints: the version of everything that may come with it."""

    requirements: list[str]
    constraints: list[str]

    @property
    def key(self) -> str:
        """Names an environment with these; another Python makes another."""
        return hashlib.sha256(json.dumps([self.requirements, self.constraints]).encode()).hexdigest()[:16]


def packages(settings: Settings) -> Packages:
    """Return what this package needs."""
    extra = "s3" if (settings.artifacts or "").startswith("s3://") else ""
    needed = _needs("studies", extra)
    requirements = sorted(f"{one.name}{one.specifier}" for one in needed)
    return Packages(requirements, _versions(needed))


def _versions(needed: list[Requirement]) -> list[str]:
    """Return `name==version` of what is needed here, and of what that needs in turn.

    A version that something here says it cannot live with is left to pip: it refuses to install both.
    """
    found: dict[str, str] = {}
    unfit: set[str] = set()
    todo = [*needed]
    while todo:
        one = todo.pop()
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:  # on this machine nothing needs it
            continue
        if not one.specifier.contains(version, prereleases=True):
            unfit.add(one.name)
        if one.name not in found:
            found[one.name] = version.partition("+")[0]
            for extra in sorted(one.extras) or [""]:
                todo += _needs(one.name, extra)
    return sorted(f"{name}=={version}" for name, version in found.items() if name not in unfit)


def _needs(name: str, extra: str) -> list[Requirement]:
    requirements = map(Requirement, metadata.requires(name) or ())
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": extra})]
