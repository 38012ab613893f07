"""What is given to Kubernetes: a Job whose pods are workers, and the Secret with the storage's address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import yaml
from psycopg2.extensions import parse_dsn

from studies.errors import INTERRUPTED, WRONG_INPUT, WrongInput
from studies.settings import Settings
from studies.storage import url_of

if TYPE_CHECKING:
    from studies.spec import StudySpec

CONTAINER = "worker"
LABEL = "app.kubernetes.io/instance"  # of the Job and its pods
USER = 10001  # as in the Dockerfile; any image's files may be read by it
HOME, CERTIFICATES, ROOT_CERTIFICATE = "/studies", "/etc/studies", "root.crt"
FAILURES_PER_WORKER = 3  # of pods, until the Job fails: as many as a launch allows a worker of its own
KEPT_S = 24 * 3600  # a Job that has ended, where no launch is left to delete it

DRY_RUN = """\
# The workers of {study}. `studies launch` without --dry-run gives this to Kubernetes, after it has created the study.
# To give it by hand to workers of a study that was launched before, put the storage's address into a Secret first:
#     kubectl create secret generic {secret} --from-file=STUDIES_STORAGE=FILE
"""

Object = dict[str, Any]


def job(name: str, study: str, spec: StudySpec, settings: Settings, n_workers: int, grace_s: int) -> Object:
    """Return a Job that is a queue of work: it starts a pod for each that fails, and none once one has succeeded.

    study: as a worker takes it. The storage's address is in the Secret alone. Raises WrongInput without an image.
    """
    given = spec.resources.kubernetes
    if given.image is None:
        raise WrongInput(
            reason="--on kubernetes needs a container image with `studies` and the study's code; type --kubernetes "
            "image=NAME, or put resources.kubernetes.image into the study file."
        )
    labels = {"app.kubernetes.io/name": "studies", LABEL: name}
    template = {"metadata": {"labels": labels}, "spec": _pod(name, study, given.image, spec, settings, grace_s)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(name, spec, labels),
        "spec": {
            "parallelism": n_workers,
            "backoffLimit": FAILURES_PER_WORKER * n_workers,
            "podFailurePolicy": {"rules": _rules()},
            "ttlSecondsAfterFinished": KEPT_S,
            "template": template,
        },
    }


def secret(name: str, owner: str, spec: StudySpec, settings: Settings, environment: Mapping[str, str]) -> Object:
    """Return the Secret with the storage's address and the certificate that its server is verified with.

    owner: the uid of the Job of the same name, with which Kubernetes deletes it. Raises WrongInput where the file of
    the certificate cannot be read.
    """
    url = settings.storage or ""
    content = {}
    parameters = parse_dsn("postgresql://" + url.partition("://")[2])
    if root := parameters.get("sslrootcert"):
        try:
            content[ROOT_CERTIFICATE] = Path(root).read_text()
        except OSError as error:
            raise WrongInput(
                reason=f"The certificate {root} in STUDIES_STORAGE cannot be read ({error.strerror})."
            ) from None
        url = url_of(parameters | {"sslrootcert": f"{CERTIFICATES}/{ROOT_CERTIFICATE}"})
    content["STUDIES_STORAGE"] = url
    if password := environment.get("PGPASSWORD"):
        content["PGPASSWORD"] = password
    metadata = _metadata(name, spec, {LABEL: name})
    metadata["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner}]
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": content}


def written(manifest: Object, study: str, lacks: str | None) -> str:
    """Return a Job as a person reads and applies it. lacks: why pods could not reach the storage."""
    secret = manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"]
    head = DRY_RUN.format(study=study, secret=secret)
    if lacks is not None:
        head += "".join(f"# {line}\n" for line in wrap(f"FILE does not exist yet: {lacks}", 118))
    return head + yaml.safe_dump(manifest, sort_keys=False, width=120)


def _metadata(name: str, spec: StudySpec, labels: Mapping[str, str]) -> Object:
    namespace = spec.resources.kubernetes.namespace
    return {"name": name} | ({"namespace": namespace} if namespace else {}) | {"labels": dict(labels)}


def _rules() -> list[Object]:
    """What of a pod's end is no failure: it was evicted or preempted; a worker was asked to leave, and did."""
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    left, refused = (
        {"action": action, "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [code]}}
        for action, code in (("Ignore", INTERRUPTED), ("FailJob", WRONG_INPUT))  # another would be refused as well
    )
    return [disrupted, left, refused]


def _pod(name: str, study: str, image: str, spec: StudySpec, settings: Settings, grace_s: int) -> Object:
    given = spec.resources.kubernetes
    cores = given.cpu or spec.resources.threads_per_worker or 1
    threads = spec.resources.threads_per_worker or max(1, int(cores))
    mounts = {"home": HOME, "memory": "/dev/shm", "certificate": CERTIFICATES}  # noqa: S108 - a pod's own
    secret = given.secret or name
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_s,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "command": ["studies", "worker", study, "--threads", str(threads)],
                "env": [{"name": key, "value": value} for key, value in _environment(settings).items()],
                "envFrom": [{"secretRef": {"name": secret}}],
                "resources": _resources(spec, cores),
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "terminationMessagePolicy": "FallbackToLogsOnError",  # its last words, where the pod's state is seen
                "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts.items()],
            }
        ],
        "volumes": [
            {"name": "home"}
            | ({"persistentVolumeClaim": {"claimName": given.claim}} if given.claim else {"emptyDir": {}}),
            {"name": "memory", "emptyDir": {"medium": "Memory"}},  # data loaders need more than a container has
            {
                "name": "certificate",
                "secret": {
                    "secretName": secret,
                    "items": [{"key": ROOT_CERTIFICATE, "path": ROOT_CERTIFICATE}],
                    "optional": True,
                },
            },
        ],
    } | given.pod


def _environment(settings: Settings) -> dict[str, str]:
    """Return what is no secret. The user has no entry in the image's /etc/passwd, and so no name and no home."""
    given = {"HOME": HOME, "USER": "studies", "STUDIES_HOME": HOME}
    known = settings.environment()
    names = ["STUDIES_LEASE_S", "STUDIES_STORAGE_WAIT_S"]
    if known.get("STUDIES_ARTIFACTS", "").startswith("s3://"):
        names.append("STUDIES_ARTIFACTS")
    return given | {name: known[name] for name in names}


def _resources(spec: StudySpec, cores: float) -> Object:
    """Return requests and limits. A core is not limited: others may use what a worker leaves, and it theirs."""
    given = spec.resources.kubernetes
    limits = {"memory": given.memory} if given.memory else {}
    if n_gpus := spec.resources.gpus_per_worker:
        limits[given.gpu] = str(n_gpus)
    requests = {"cpu": f"{cores:g}"} | ({"memory": given.memory} if given.memory else {})
    return {"requests": requests} | ({"limits": limits} if limits else {})
