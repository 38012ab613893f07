"""What a study file may ask of Kubernetes: the pod of a worker."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, field_validator, model_serializer
from pydantic_core import PydanticCustomError

from studies.spec.part import Part

OURS = ("containers", "restartPolicy", "terminationGracePeriodSeconds")  # of a pod's fields


def _written_as(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("kubernetes", "expected {expected}", {"expected": expected})
        return text

    return AfterValidator(check)


Name = Annotated[str, _written_as(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", "small letters, digits and dashes")]
Bytes = Annotated[str, _written_as(r"[0-9]+(\.[0-9]+)?([kMGT]|[KMGT]i)", "an amount of memory such as 16Gi")]


class Kubernetes(Part):
    """The pod of a worker, with --on kubernetes.

    image: a container image with this release of `studies` and the study's code. namespace: none takes kubectl's own.
    secret: a Secret of yours whose keys become variables of the worker, STUDIES_STORAGE among them; with none, each
    launch makes one. cpu: cores of a worker; none takes threads_per_worker, or 1. memory: such as 16Gi; a worker that
    needs more is killed. gpu: the resource of which a worker gets gpus_per_worker. claim: a PersistentVolumeClaim for
    STUDIES_HOME, where prepared data and full data sets are; with none, each worker prepares them for itself. grace_s:
    how long a worker may take to leave; none takes twice the longest epoch that the study has seen, 120 at least. pod:
    more fields of the pod, by Kubernetes's own names, such as {serviceAccountName: ann, nodeSelector: {disk: fast}}.
    """

    image: str | None = Field(default=None, min_length=1)
    namespace: Name | None = None
    secret: Name | None = None
    cpu: float | None = Field(default=None, gt=0)
    memory: Bytes | None = None
    gpu: str = Field(default="nvidia.com/gpu", min_length=1)
    claim: Name | None = None
    grace_s: int | None = Field(default=None, ge=1)
    pod: dict[str, Any] = Field(default={})

    @field_validator("pod")
    @classmethod
    def _not_ours(cls, pod: dict[str, Any]) -> dict[str, Any]:
        for name in OURS:
            if name in pod:
                raise PydanticCustomError(
                    "kubernetes", "{name} is set by `studies` itself; leave it out", {"name": name}
                )
        return pod

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keep what is stored as short as what was written."""
        fields = type(self).model_fields
        return {key: value for key, value in serialize(self).items() if value != fields[key].default}
