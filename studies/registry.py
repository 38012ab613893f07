"""Everything that can be extended by name: one mapping for each kind of thing, and the error for a name it lacks.

To add one more, write it and add its line below. Nothing is imported before it is used. A user adds one without
touching this package: `module:Name` works wherever a name does, and is found from the working directory too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from studies.errors import WrongInput
from studies.own import imported
from studies.words import meant

PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # of a user's own


class Registry(dict[str, str]):
    """The things of one kind: name -> "module:Name", or "module" where the module itself is the thing."""

    def __init__(self, kind: str, paths: Mapping[str, str]) -> None:
        super().__init__(paths)
        self.kind = kind

    def expected(self, name: str) -> str | None:
        """Return what could stand in place of a name, as part of a sentence; None where the name can be used."""
        if name in self or PATH.fullmatch(name):
            return None
        return f"expected one of {', '.join(self)}, or module:Name of your own{meant(name.partition(':')[0], self)}"

    def check(self, name: str, option: str) -> None:
        """Raise WrongInput for a name that is neither known nor the path of a user's own. Imports nothing."""
        if (expected := self.expected(name)) is not None:
            raise WrongInput(reason=f"{option} is {name!r}; {expected}")

    def load(self, name: str) -> Any:
        """Import the thing of this name. Raises WrongInput where there is none."""
        self.check(name, self.kind)
        return imported(self[name], self.kind, own=False) if name in self else imported(name, self.kind, known=self)


LAUNCHERS = Registry(
    "launcher",
    {
        "local": "studies.run.launchers.local:LocalLauncher",
        "ssh": "studies.run.launchers.ssh.launcher:SshLauncher",
        "slurm": "studies.run.launchers.slurm:SlurmLauncher",
        "kubernetes": "studies.run.launchers.kubernetes:KubernetesLauncher",
        "ray": "studies.run.launchers.ray:RayLauncher",
    },
)

SAMPLERS = Registry(
    "sampler",
    {
        "gp": "studies.search.gp:gp",
        "tpe": "optuna.samplers:TPESampler",
        "random": "optuna.samplers:RandomSampler",
        "qmc": "studies.search.samplers:qmc",
        "cmaes": "studies.search.samplers:cmaes",
        "nsga2": "optuna.samplers:NSGAIISampler",
        "grid": "studies.search.samplers:grid",
    },
)

PRUNERS = Registry(
    "pruner",
    {
        "asha": "studies.search.pruners:asha",
        "hyperband": "studies.search.pruners:hyperband",
        "successive_halving": "studies.search.pruners:successive_halving",
        "median": "studies.search.pruners:median",
        "none": "studies.search.pruners:none",
    },
)

EXPORTERS = Registry(
    "exporter",
    {
        "yaml": "studies.exporters.yaml",
        "csv": "studies.exporters.csv",
        "parquet": "studies.exporters.parquet",
        "json": "studies.exporters.json",
    },
)

# In the order in which they run: first those that only read the first epoch, then those that train again.
CHECKS = Registry(
    "check",
    {
        "training": "studies.check.checks.training:Training",
        "losses": "studies.check.checks.losses:Losses",
        "evaluation": "studies.check.checks.evaluation:Evaluation",
        "labels": "studies.check.checks.labels:Labels",
        "weights": "studies.check.checks.weights:Weights",
        "split": "studies.check.checks.split:Split",
        "parameters": "studies.check.checks.parameters:Parameters",
        "asked_for": "studies.check.checks.asked_for:AskedFor",
        "randomness": "studies.check.checks.randomness:Randomness",
        "resuming": "studies.check.checks.resuming:Resuming",
        "cost": "studies.check.checks.cost:Cost",
    },
)
