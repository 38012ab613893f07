"""A study file, validated: `model` has its keys, `file` reads it, by `yaml`, and points at `mistakes`.

`space` is its search space, of parameters that have a `domain` each: a range, a choice or a fixed value. `values` is
what is in these.

`part` is what its parts have in common: `program`, `slurm`, `kubernetes`. A `condition` is one of `require`, a `bound`
one of `constraints`; a `description` is what an objective says of itself, to be compared with what was stored.

`catalog/` holds the studies that ship. <- ADD A STUDY: one YAML file there, named as the study is.
"""

from studies.spec.file import Override, SpecFile, catalog, load
from studies.spec.model import MAX_STORED_NAME, STORED_NAME, Limits, Pruner, Sampler, StudySpec
from studies.spec.program import ConfigFile, Objective, Program, Reports

__all__ = [
    "MAX_STORED_NAME",
    "STORED_NAME",
    "ConfigFile",
    "Limits",
    "Objective",
    "Override",
    "Program",
    "Pruner",
    "Reports",
    "Sampler",
    "SpecFile",
    "StudySpec",
    "catalog",
    "load",
]
