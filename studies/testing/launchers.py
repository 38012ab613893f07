"""What every launcher must fulfil, with real workers on a real study in a real server."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from studies.errors import ObjectiveRefused
from studies.logs.noted import note_study
from studies.names import UID, exact
from studies.run.join import Start, join
from studies.run.launchers import Exit, Launcher, make_launcher
from studies.settings import Settings
from studies.spec import StudySpec
from studies.storage import Storage, open_storage
from studies.storage.ledger import Worker
from studies.testing.parabola import parabola

PATIENCE_S = 300.0  # for a worker to begin or to end; a cluster may take longer
POLL_S = 0.1
LONG_S = 60.0  # of an epoch that is cut short


class Running:
    """A study with its launcher, as `studies launch` drives it."""

    def __init__(self, launcher: Launcher, storage: Storage, study_id: int, spec: StudySpec) -> None:
        self.launcher, self.storage, self.study_id, self.spec = launcher, storage, study_id, spec
        self.exits: list[Exit] = []

    def start(self, n_workers: int) -> None:
        """Start workers."""
        self.launcher.start(exact(self.spec.name), n_workers)

    def workers(self) -> list[Worker]:
        """Return the workers that run a trial."""
        return [one for one in self.storage.ledger.workers(self.study_id) if one.trial is not None and one.alive]

    def wait(self, until: Callable[[], bool], patience_s: float) -> None:
        """Reap until something is so."""
        deadline = time.monotonic() + patience_s
        while not until():
            assert time.monotonic() < deadline, f"nothing happened; the logs are in {self.launcher.logs}"
            self.exits += self.launcher.reap()
            time.sleep(POLL_S)


class LauncherSuite:
    """Inherit it and say what to test.

    launcher: as --on names it. resources: what the study file has to say of a worker. patience_s: for a worker to begin
    or to end. A launcher whose workers cannot reach a server on this machine's own socket overrides `settings`, and one
    with workers elsewhere `is_there` as well.
    """

    launcher: ClassVar[str]
    resources: ClassVar[Mapping[str, Any]] = {}
    patience_s: ClassVar[float] = PATIENCE_S

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls) -> Iterator[Settings]:
        """An embedded server with a home of its own, which any user of this machine may enter."""
        home = Path(tempfile.mkdtemp(prefix="studies-suite-"))
        home.chmod(0o755)
        yield Settings(None, home / "home", home / "data")
        shutil.rmtree(home, ignore_errors=True)

    @pytest.fixture(scope="class")
    @classmethod
    def storage(cls, settings: Settings) -> Iterator[Storage]:
        """The storage of the studies."""
        with open_storage(settings) as storage:
            yield storage

    def is_there(self, worker: Worker) -> bool:
        """Whether a worker's process exists."""
        return psutil.pid_exists(worker.pid) and psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE

    def made(self, spec: StudySpec, settings: Settings, n_workers: int) -> Launcher:
        """Make the launcher of a study."""
        resources = type(spec.resources).model_validate(self.resources)
        return make_launcher(self.launcher, spec.model_copy(update={"resources": resources}), settings, n_workers)

    @contextmanager
    def running(self, settings: Settings, storage: Storage, spec: StudySpec) -> Iterator[Running]:
        """Create the study and its launcher; nothing has been started."""
        launcher = self.made(spec, settings, 2)
        try:
            described = launcher.describe(lambda what, fraction: None)
            joined = join(storage, spec, described, Start(), lambda line: None)
            note_study(launcher.logs, joined.study.user_attrs[UID])  # so it stays, as that of a launch
            yield Running(launcher, storage, joined.study_id, joined.spec)
        finally:
            launcher.close()

    def test_describe_tells_space_data_and_progress(self, settings: Settings) -> None:
        """With the objective's words; and prepares only when there is somebody to tell."""
        launcher = self.made(parabola("described", 1, 0.0), settings, 1)
        try:
            told: list[tuple[str, float]] = []
            described = launcher.describe(lambda what, fraction: told.append((what, fraction)))
            assert set(described.declared) == {"x", "seconds"}
            assert described.data["name"] == "none"
            assert told == [("nothing", 1.0)]
            assert launcher.describe(None).declared == described.declared
            assert told == [("nothing", 1.0)]
        finally:
            launcher.close()

    def test_describe_refuses_what_does_not_fit(self, settings: Settings) -> None:
        """Before a worker is started."""
        spec = parabola("refused", 1, 0.0, metric="accuracy")
        launcher = self.made(spec, settings, 1)
        try:
            with pytest.raises(ObjectiveRefused, match="reports no metric 'accuracy'"):
                launcher.describe(None)
        finally:
            launcher.close()

    def test_workers_run_the_study_to_its_end(self, settings: Settings, storage: Storage) -> None:
        """Each is counted while it runs, and reaped once."""
        with self.running(settings, storage, parabola("whole", 4, 0.0)) as running:
            assert running.launcher.running() == 0
            running.start(2)
            assert running.launcher.running() == 2
            running.wait(lambda: running.launcher.running() == 0, self.patience_s)
            assert [(one.code, one.error) for one in running.exits] == [(0, None)] * 2
            assert running.launcher.reap() == []
            assert storage.ledger.budget(running.study_id).done == 4

    def test_stop_lets_workers_end_their_epoch(self, settings: Settings, storage: Storage) -> None:
        """And keeps what they have reported."""
        with self.running(settings, storage, parabola("stopped", 99, 0.5)) as running:
            running.start(1)
            running.wait(lambda: bool(running.workers()), self.patience_s)
            running.launcher.stop()
            running.wait(lambda: running.launcher.running() == 0, self.patience_s)
            assert [one.code for one in running.exits] == [0]
            assert storage.ledger.budget(running.study_id).done < 99

    def test_killed_workers_are_gone_at_once_and_reported(self, settings: Settings, storage: Storage) -> None:
        """With a code that is not 0 and a sentence; a new one can take their place."""
        with self.running(settings, storage, parabola("killed", 99, LONG_S)) as running:
            running.start(2)
            running.wait(lambda: len(running.workers()) == 2, self.patience_s)
            killed = running.workers()
            running.launcher.kill()
            running.wait(lambda: running.launcher.running() == 0, LONG_S)
            assert not any(self.is_there(worker) for worker in killed)
            assert {(one.host, one.pid) for one in running.exits} == {(one.host, one.pid) for one in killed}
            for one in running.exits:
                assert one.code != 0
                assert one.error
            running.start(1)
            assert running.launcher.running() == 1

    def test_close_leaves_nothing_behind(self, settings: Settings, storage: Storage) -> None:
        """However busy the workers are; and a second time does no harm."""
        with self.running(settings, storage, parabola("closed", 99, LONG_S)) as running:
            running.start(2)
            running.wait(lambda: len(running.workers()) == 2, self.patience_s)
            left = running.workers()
            running.launcher.close()
            assert not any(self.is_there(worker) for worker in left)
            assert running.launcher.logs.is_dir()
