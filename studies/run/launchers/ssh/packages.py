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
    """Return `name==version` of what is needed here, and of what that needs in turn."""
    found: dict[str, str] = {}
    todo = [(one.name, tuple(sorted(one.extras)) or ("",)) for one in needed]
    while todo:
        name, extras = todo.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:  # on this machine nothing needs it
            continue
        for extra in extras:
            todo += [(one.name, tuple(sorted(one.extras)) or ("",)) for one in _needs(name, extra)]
    return sorted(f"{name}=={version}" for name, version in found.items())


def _needs(name: str, extra: str) -> list[Requirement]:
    requirements = map(Requirement, metadata.requires(name) or ())
    return [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": extra})]
