"""Every command of kubectl's that a launch needs: it uses its user's own configuration.

What is known of the workers comes from one `kubectl get` for all of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from studies.errors import FAILED
from studies.run.launchers.kubernetes.manifest import CONTAINER, LABEL
from studies.run.launchers.scheduled import SchedulerFailed
from studies.words import last_line

ANSWER_S = 60.0  # for the cluster to answer
OUT_OF_MEMORY = "OOMKilled"
OVER = {"Complete", "SuccessCriteriaMet", "Failed", "FailureTarget"}  # conditions of a Job that starts no more pods
WAITS_LONG = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerError",
    "CreateContainerConfigError",
)


class KubernetesFailed(SchedulerFailed):
    """A command of kubectl's did not do it, and said why."""


@dataclass(frozen=True)
class Pod:
    """A pod as Kubernetes shows it.

    exit_code: None until it has ended. error: its last words, or why it was ended. disrupted: why it was evicted or
    preempted, or that its machine is gone. waits_for: why it has not begun.
    """

    name: str
    exit_code: int | None = None
    error: str | None = None
    out_of_memory: bool = False
    disrupted: str | None = None
    waits_for: str | None = None

    @classmethod
    def read(cls, content: dict[str, Any]) -> Pod:
        """Read one of the items that `kubectl get pods -o json` prints."""
        name, status = content["metadata"]["name"], content.get("status", {})
        conditions = {each["type"]: each for each in status.get("conditions", ())}
        containers = {each["name"]: each.get("state", {}) for each in status.get("containerStatuses", ())}
        state = containers.get(CONTAINER, {})
        disruption = conditions.get("DisruptionTarget", {})
        disrupted = None
        if disruption.get("status") == "True":
            disrupted = last_line(disruption.get("message")) or disruption.get("reason", "a disruption")
        if status.get("phase") not in ("Succeeded", "Failed"):
            return cls(name, disrupted=disrupted, waits_for=_waits_for(conditions, state))
        ended = state.get("terminated", {})
        code = ended.get("exitCode", 0 if status["phase"] == "Succeeded" else FAILED)
        why = ended.get("message") or status.get("message") or ended.get("reason") or status.get("reason")
        out_of_memory = ended.get("reason") == OUT_OF_MEMORY
        error = last_line(why).removeprefix("studies: ") or "its pod failed"
        return cls(name, code, error if code else None, out_of_memory, disrupted)


@dataclass(frozen=True)
class Seen:
    """A Job and its pods. parallelism: how many pods it keeps; 0 where it starts no more."""

    parallelism: int
    pods: list[Pod]

    @classmethod
    def read(cls, items: Iterable[dict[str, Any]]) -> Seen:
        """Read what `kubectl get jobs,pods -o json` prints of one Job."""
        parallelism, pods = 0, []
        for item in items:
            if item["kind"] == "Pod":
                pods.append(Pod.read(item))
            else:
                conditions = item.get("status", {}).get("conditions", ())
                over = {each["type"] for each in conditions if each["status"] == "True"} & OVER
                suspended = item["spec"].get("suspend") or "deletionTimestamp" in item["metadata"]
                parallelism = 0 if over or suspended else item["spec"].get("parallelism", 1)
        return cls(parallelism, pods)


class Cluster:
    """The cluster and the namespace of kubectl's configuration, or another namespace of that cluster."""

    def __init__(self, namespace: str | None) -> None:
        self._command = ["kubectl", *([f"--namespace={namespace}"] if namespace else [])]

    def create(self, content: dict[str, Any]) -> str:
        """Create an object, and return its uid. Raises KubernetesFailed."""
        said = self._run("create", "--filename=-", "--output=json", given=json.dumps(content))
        return str(json.loads(said)["metadata"]["uid"])

    def look(self, job: str) -> Seen:
        """Return how a Job and its pods are. Raises KubernetesFailed."""
        return Seen.read(json.loads(self._run("get", "jobs,pods", *_of(job), "--output=json"))["items"])

    def suspend(self, job: str) -> None:
        """Start no more pods, and end those that there are as kindly as their grace allows. Raises KubernetesFailed."""
        self._run("patch", "job", job, '--patch={"spec":{"suspend":true}}')

    def kill_pods(self, job: str) -> None:
        """End the pods of a suspended Job now: a second later, since without any the machine need not confirm it."""
        self._run("delete", "pods", *_of(job), "--grace-period=1", "--wait=false")

    def log(self, pod: str) -> str:
        """Return what a worker has printed. Raises KubernetesFailed."""
        return self._run("logs", pod, f"--container={CONTAINER}")

    def delete(self, job: str) -> None:
        """Delete a Job; its pods and its Secret go with it. Raises KubernetesFailed."""
        self._run("delete", "job", job, "--ignore-not-found", "--wait=false")

    def _run(self, *command: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                [*self._command, *command],
                input=given,
                capture_output=True,
                encoding="utf-8",
                errors="replace",  # a worker prints what it likes
                timeout=ANSWER_S,
                check=False,
                start_new_session=True,  # Ctrl-C is for this process
            )
        except subprocess.TimeoutExpired:
            raise KubernetesFailed(f"kubectl {command[0]} did not answer for {ANSWER_S:.0f} s") from None
        if done.returncode:
            raise KubernetesFailed(f"kubectl said: {' '.join(done.stderr.split()).removeprefix('error: ')}")
        return done.stdout


def _of(job: str) -> list[str]:
    return [f"--selector={LABEL}={job}"]


def _waits_for(conditions: dict[str, Any], state: dict[str, Any]) -> str | None:
    scheduled, waiting = conditions.get("PodScheduled", {}), state.get("waiting", {})
    if scheduled.get("status") == "False":
        return last_line(scheduled.get("message")) or scheduled.get("reason")
    if waiting.get("reason") in WAITS_LONG:
        return f"{waiting['reason']}: {last_line(waiting.get('message'))}"
    return None
