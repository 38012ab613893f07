"""A study file, validated: `model` has its keys, `space` its search space, `file` reads it and points at mistakes.

`catalog/` holds the studies that ship. <- ADD A STUDY: one YAML file there, named as the study is.
"""

from studies.spec.file import Override, SpecFile, catalog, load
from studies.spec.model import MAX_STORED_NAME, STORED_NAME, Limits, Pruner, Sampler, StudySpec
from studies.spec.program import Objective, Program, Reports

__all__ = [
    "MAX_STORED_NAME",
    "STORED_NAME",
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
