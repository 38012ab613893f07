"""A study file, validated: `model` has its keys, `space` its search space, `file` reads it and points at mistakes.

`catalog/` holds the studies that ship. <- ADD A STUDY: one YAML file there, named as the study is.
"""

from studies.spec.file import Override, SpecFile, catalog, load
from studies.spec.model import MAX_STORED_NAME, OBJECTIVE, STORED_NAME, Limits, Pruner, Sampler, StudySpec

__all__ = [
    "MAX_STORED_NAME",
    "OBJECTIVE",
    "STORED_NAME",
    "Limits",
    "Override",
    "Pruner",
    "Sampler",
    "SpecFile",
    "StudySpec",
    "catalog",
    "load",
]
