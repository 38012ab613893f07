"""A stand-in for a Kubernetes cluster of one node: the controller of Jobs, and a kubelet that runs the real command.

A pod is a process of this machine: process 1 of a PID namespace whose host's name is the pod's, where this machine
allows that. It gets what the manifest says and nothing else: command, environment, Secrets. A container's image is
`image`, a directory that stands in for its working directory; a volume is a directory, by whose path the place that it
would be mounted at is replaced.
"""

from __future__ import annotations

import os
import random
import signal
import string
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from . import kubectl
from .objects import Object, Objects

POLL_S = 0.05
TAIL_CHARACTERS = 2048  # of a container's log, in its state
ISOLATED = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
NAMED = ["sh", "-c", 'hostname "$0" && exec "$@"']
LABEL = "app.kubernetes.io/instance"


class Cluster:
    """Runs in a thread of its own between `with` and its end. bin: what belongs into PATH."""

    def __init__(self, directory: Path, image: Path) -> None:
        self.directory, self.image = directory, image
        self.objects = Objects(directory / "objects")
        self.bin = directory / "bin"
        self.bin.mkdir()
        kubectl.install(self.bin, self.objects)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deadlines: dict[str, float] = {}  # of pods that were asked to end
        self.killed: set[str] = set()
        self.memory_is_short: set[str] = set()
        self.n_created = 0
        self.over = threading.Event()
        self.error: BaseException | None = None
        self.isolation = isolation()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Cluster:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait()
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        try:
            while not self.over.wait(POLL_S):
                with self.objects.alone():
                    for pod in self.objects.all("Pod"):
                        self.keep_pod(pod)
                    for job in self.objects.all("Job"):
                        self.keep_job(job)
        except BaseException as error:
            self.error = error

    # --- what a test does -----------------------------------------------------------------------------------------

    def alive(self) -> list[str]:
        """The pods that run."""
        return [pod["metadata"]["name"] for pod in self.objects.all("Pod") if pod["status"]["phase"] == "Running"]

    def kill(self, name: str, out_of_memory: bool = False) -> None:
        """Kill a worker, as the kernel may."""
        if out_of_memory:
            self.memory_is_short.add(name)
        self.killed.add(name)
        self.worker(name).kill()

    def evict(self, name: str) -> None:
        """Let a pod's node be drained."""
        with self.objects.alone():
            pod = self.objects.get("Pod", name)
            assert pod is not None
            message = "Eviction API: evicting"
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            pod["status"]["conditions"] = [condition | {"message": message}]
            pod["metadata"]["deletionTimestamp"] = "now"
            self.objects.put(pod)

    def worker(self, name: str) -> psutil.Process:
        process = psutil.Process(self.processes[name].pid)
        return process.children()[0] if self.isolation else process

    # --- the controller of Jobs -----------------------------------------------------------------------------------

    def keep_job(self, job: Object) -> None:
        name, spec = job["metadata"]["name"], job["spec"]
        status = job.setdefault("status", {"failed": 0, "conditions": []})
        pods = self.objects.all("Pod", **{LABEL: name})
        ended = [pod for pod in pods if pod["status"]["phase"] in ("Succeeded", "Failed")]
        for pod in ended:
            if not pod.get("counted"):
                self.count(job, pod)
        n_active, succeeded = len(pods) - len(ended), any(pod["status"]["phase"] == "Succeeded" for pod in ended)
        deleted = "deletionTimestamp" in job["metadata"]
        failed = "failure" in status or status["failed"] > spec["backoffLimit"]
        if failed or deleted or spec.get("suspend"):
            for pod in pods:
                if deleted or pod not in ended:
                    pod["metadata"].setdefault("deletionTimestamp", "now")
                    self.objects.put(pod)
        elif not succeeded:
            for _ in range(n_active, spec["parallelism"]):
                self.create_pod(job)
        if (failed or succeeded) and not n_active and not status["conditions"]:
            status["conditions"] = [{"type": "Failed" if failed else "Complete", "status": "True"}]
        self.objects.put(job)
        if deleted and not pods:
            self.objects.remove(job)
            for secret in self.objects.all("Secret"):
                if any(each["uid"] == job["metadata"]["uid"] for each in secret["metadata"].get("ownerReferences", ())):
                    self.objects.remove(secret)

    def count(self, job: Object, pod: Object) -> None:
        """Do with a pod's end what the first rule says that matches it."""
        pod["counted"] = True
        self.objects.put(pod)
        if pod["status"]["phase"] == "Succeeded":
            return
        code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
        conditions = {each["type"] for each in pod["status"].get("conditions", ())}
        for rule in job["spec"]["podFailurePolicy"]["rules"]:
            if {each["type"] for each in rule.get("onPodConditions", ())} & conditions or code in rule.get(
                "onExitCodes", {}
            ).get("values", ()):
                if rule["action"] == "FailJob":
                    job["status"]["failure"] = "PodFailurePolicy"
                return
        job["status"]["failed"] += 1

    def create_pod(self, job: Object) -> None:
        suffix = "".join(random.choices(string.ascii_lowercase, k=5))
        template = job["spec"]["template"]
        metadata = template["metadata"] | {"name": f"{job['metadata']['name']}-{suffix}"}
        self.n_created += 1
        status = {"phase": "Pending"}
        self.objects.put({"kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status})

    # --- the kubelet ----------------------------------------------------------------------------------------------

    def keep_pod(self, pod: Object) -> None:
        name, phase = pod["metadata"]["name"], pod["status"]["phase"]
        asked = "deletionTimestamp" in pod["metadata"]
        if phase == "Pending":
            self.objects.remove(pod) if asked else self.begin(pod)
        elif phase == "Running":
            if self.processes[name].poll() is not None:
                self.end(pod, self.processes[name].returncode)
            elif asked:
                self.ask_to_end(pod)
        elif asked and pod.get("counted"):
            self.objects.remove(pod)

    def begin(self, pod: Object) -> None:
        name, spec = pod["metadata"]["name"], pod["spec"]
        [container] = spec["containers"]
        secrets = {each["secretRef"]["name"]: None for each in container["envFrom"]}
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        for secret in secrets:
            found = self.objects.get("Secret", secret)
            if found is None:
                waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{secret}" not found'}
                pod["status"]["containerStatuses"] = [{"name": container["name"], "state": {"waiting": waiting}}]
                self.objects.put(pod)
                return
            environment |= found["stringData"]
        environment |= {each["name"]: each["value"] for each in container["env"]}
        for mount in container["volumeMounts"]:
            volume = self.directory / "volumes" / name / mount["name"]
            volume.mkdir(parents=True)
            environment = {key: self.mounted(value, mount["mountPath"], volume) for key, value in environment.items()}
            volume.chmod(0o777)
        with self.objects.log(name).open("wb") as log:
            command = [*self.isolation, *([*NAMED, name] if self.isolation else []), *container["command"]]
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.processes[name] = subprocess.Popen(command, cwd=self.image, env=environment, **streams)
        pod["status"] = {"phase": "Running"}
        self.objects.put(pod)

    def mounted(self, value: str, path: str, volume: Path) -> str:
        return str(volume) + value.removeprefix(path) if value.startswith(path) else value

    def ask_to_end(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        grace_s = pod["metadata"].get("deletionGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"])
        with suppress(psutil.Error, IndexError):
            if name not in self.deadlines:
                self.worker(name).send_signal(signal.SIGTERM)
            self.deadlines[name] = min(self.deadlines.get(name, float("inf")), time.monotonic() + grace_s)
            if time.monotonic() > self.deadlines[name]:
                self.kill(name)

    def end(self, pod: Object, code: int) -> None:
        name = pod["metadata"]["name"]
        if name in self.killed:  # unshare would not say so
            code = 128 + signal.SIGKILL
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        if code:
            ended["message"] = self.objects.log(name).read_text()[-TAIL_CHARACTERS:]
        if name in self.memory_is_short:
            ended["reason"] = "OOMKilled"
        pod["status"]["phase"] = "Failed" if code else "Succeeded"
        [container] = pod["spec"]["containers"]
        pod["status"]["containerStatuses"] = [{"name": container["name"], "state": {"terminated": ended}}]
        self.objects.put(pod)


def isolation() -> list[str]:
    """Return what makes a process a pod. Root may do that; others get a user namespace with it, where there are any."""
    allowed = ISOLATED if os.geteuid() == 0 else [*ISOLATED, "--user", "--map-root-user"]
    done = subprocess.run([*allowed, *NAMED, "pod", "true"], capture_output=True)
    return [] if done.returncode else allowed
