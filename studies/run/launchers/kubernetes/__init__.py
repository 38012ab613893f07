"""Workers as pods of a Kubernetes Job. Nothing here schedules: Kubernetes starts pods, and workers pull their trials.

`manifest` has what is given to Kubernetes, `cluster` every command of kubectl's. The Job starts another pod for one
that fails or is evicted: workers go on when this process has ended.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from studies.errors import DONE, INTERRUPTED, StorageUnreachable, StudyNotStarted, WrongInput
from studies.logs.noted import note_process
from studies.run.launchers import Exit
from studies.run.launchers.kubernetes import manifest
from studies.run.launchers.kubernetes.cluster import Cluster, KubernetesFailed, Pod, Seen
from studies.run.launchers.reach import only_here, refusal
from studies.run.launchers.scheduled import ScheduledLauncher
from studies.settings import Settings
from studies.storage import is_there
from studies.words import plural

if TYPE_CHECKING:
    from studies.spec import StudySpec

LOOK_S = 2.0  # from one look at the pods to the next
PID = 1  # of a worker in its pod; its host is the pod's name
GRACE_S = 120  # the least: saving a large checkpoint takes its time, too
EPOCHS = 2  # grace, in the longest epochs seen
NAME_CHARACTERS = 30  # of the study's name in the Job's: a pod's name is a host's, of 63 characters at most


class KubernetesLauncher(ScheduledLauncher):
    """See `Launcher`. `logs` has the log of each worker that has ended, under its pod's name."""

    kill_s, closing_s = 60.0, 0.5

    def __init__(self, spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None]) -> None:
        _check(spec, settings)
        if shutil.which("kubectl") is None:
            raise WrongInput(
                reason="--on kubernetes needs the command kubectl, and it is not in PATH; install it, let `kubectl get "
                "pods` answer, and type the same again. --dry-run needs none."
            )
        super().__init__(spec, settings, n_workers, say)
        self._cluster = Cluster(spec.resources.kubernetes.namespace)
        self._job: str | None = None
        self._seen = Seen(0, [])
        self._reaped: set[str] = set()
        self._said: set[str] = set()

    @staticmethod
    def dry_run(spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None]) -> str:
        """Return the Job as it would be given to Kubernetes, and say what it lacks. Raises WrongInput."""
        lacks = None
        try:
            _check(spec, settings)
            grace_s = _grace_s(spec, settings, spec.name) if is_there(settings) else GRACE_S
        except StorageUnreachable:  # pods may reach it, where this machine does not
            grace_s = GRACE_S
        except WrongInput as error:
            grace_s, lacks = spec.resources.kubernetes.grace_s or GRACE_S, str(error)
            say(f"{lacks} Without that, `studies launch` without --dry-run is refused.")
        job = manifest.job(_job_name(spec.name), spec.name, spec, settings, n_workers, grace_s)
        return manifest.written(job, spec.name, lacks)

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`. Raises WrongInput where Kubernetes refuses."""
        # For a worker that died, the Job starts another.
        if self._job is not None and self.running():
            return
        name, grace_s = _job_name(self._spec.name), _grace_s(self._spec, self._settings, study)
        job = manifest.job(name, study, self._spec, self._settings, n_workers, grace_s)
        try:
            uid = self._cluster.create(job)
            self._job, self._seen, self._stopped, self._killed = name, Seen(n_workers, []), False, False
            if self._spec.resources.kubernetes.secret is None:
                self._cluster.create(manifest.secret(name, uid, self._spec, self._settings, os.environ))
        except KubernetesFailed as error:
            raise WrongInput(
                reason=f"{error}; `kubectl get pods` shows whether the cluster answers, --dry-run what it was given."
            ) from None
        self._say(
            f"Job {name}: {plural(n_workers, 'worker')}; `kubectl get pods -l {manifest.LABEL}={name}` shows them."
        )

    def running(self) -> int:
        """See `Launcher`. Those that wait for their turn count, and those that the Job is about to start."""
        alive = sum(pod.exit_code is None for pod in self._seen.pods)
        if any(pod.exit_code == DONE for pod in self._seen.pods):
            return alive  # the Job starts no more
        return max(self._seen.parallelism, alive)

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        if self._job is None or time.monotonic() < self._look_at or not self.running():
            return []
        self._look_at = time.monotonic() + LOOK_S
        seen = self._asked("Kubernetes", partial(self._look, self._job))
        if seen is None:
            return []
        gone = {pod.name for pod in self._seen.pods} - {pod.name for pod in seen.pods}
        self._seen = seen
        self._say_who_waits()
        ended = [pod for pod in seen.pods if pod.exit_code is not None] + [Pod(name) for name in sorted(gone)]
        ended = [pod for pod in ended if pod.name not in self._reaped]
        self._reaped |= {pod.name for pod in ended}
        return [self._exit(pod) for pod in ended]

    def _look(self, job: str) -> Seen:
        seen = self._cluster.look(job)
        if self._stopped and seen.parallelism:
            self._cluster.suspend(job)
        return seen

    def kill(self) -> None:
        """See `Launcher`."""
        self._stopped = self._killed = True
        self._look_at = 0.0
        if self._job is not None and self.running():
            with suppress(KubernetesFailed):  # what was missed is seen at the next look
                self._cluster.suspend(self._job)
                self._cluster.kill_pods(self._job)

    def close(self) -> None:
        """See `Launcher`. The Job goes with its pods, and with its Secret."""
        super().close()
        if self._job is not None:
            try:
                self._cluster.delete(self._job)
            except KubernetesFailed as error:
                self._say(f"{error}; `kubectl delete job {self._job}` removes what is left.")
            self._job = None

    def _say_who_waits(self) -> None:
        for pod in self._seen.pods:
            if pod.waits_for and pod.waits_for not in self._said:
                self._said.add(pod.waits_for)
                self._say(f"A worker waits for its turn: {pod.waits_for}")

    def _exit(self, pod: Pod) -> Exit:
        self._keep_log(pod.name)
        code, error = pod.exit_code, pod.error
        if code in (DONE, INTERRUPTED):  # it has left in order
            return Exit(pod.name, PID, DONE, None)
        if self._killed:
            return Exit(pod.name, PID, -signal.SIGKILL, "it was killed")
        if code is None:  # nobody saw its end
            return Exit(pod.name, PID, DONE, "its pod was deleted")
        if pod.disrupted:
            self._say(f"Worker {pod.name} was taken away ({pod.disrupted}); the Job starts another.")
            return Exit(pod.name, PID, code, pod.disrupted, lost=True)
        if code == 128 + signal.SIGKILL:  # its log ends anywhere
            error = "it needed more memory than its pod may have" if pod.out_of_memory else "killed by SIGKILL"
        return Exit(pod.name, PID, code, error, pod.out_of_memory)

    def _keep_log(self, pod: str) -> None:
        with suppress(KubernetesFailed, OSError):  # the pod may be gone, and its log with it
            log = self.logs / f"worker-{pod}.log"
            log.write_text(self._cluster.log(pod), encoding="utf-8")
            note_process(log, pod, PID)


def _check(spec: StudySpec, settings: Settings) -> None:
    """Raise WrongInput where pods could not reach the storage; the address in a Secret of one's own may be another."""
    where = only_here(settings)
    if where is not None and (settings.storage is None or spec.resources.kubernetes.secret is None):
        raise refusal("--on kubernetes starts workers in pods", where)


def _job_name(study: str) -> str:
    """Return a name that no other Job has."""
    return f"studies-{re.sub('[^a-z0-9-]', '-', study)[:NAME_CHARACTERS].rstrip('-')}-{uuid.uuid4().hex[:8]}"


def _grace_s(spec: StudySpec, settings: Settings, study: str) -> int:
    """Return how long a worker may take to leave, s: it finishes its epoch, and saves a checkpoint."""
    if spec.resources.kubernetes.grace_s is not None:
        return spec.resources.kubernetes.grace_s
    from studies.record.reading import read_stored
    from studies.storage import open_storage

    try:
        with open_storage(settings) as storage:
            trials = read_stored(storage, study).trials
    except StudyNotStarted:
        trials = []
    epochs = [trial.seconds / len(trial.curve) for trial in trials if trial.seconds and trial.curve]
    return max([GRACE_S, *(int(EPOCHS * longest) + 1 for longest in epochs)])
