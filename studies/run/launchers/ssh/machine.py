"""One machine as its launcher sees it: prepared, connected, cut, connected again, given up, back."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from studies.logs.noted import note_process
from studies.run.launchers import Exit
from studies.run.launchers.ssh.connection import Connection, Cut, Refused
from studies.run.launchers.ssh.files import Files
from studies.run.launchers.ssh.packages import MODULES, Packages
from studies.run.launchers.ssh.tunnel import Tunnel
from studies.run.launchers.ssh.wanted import Wanted
from studies.run.launchers.ssh.where import Place
from studies.settings import Settings
from studies.spec import StudySpec

SUPERVISOR = "studies.run.launchers.ssh.supervisor"
LEAST_GRACE_S = 10.0  # longer than a launcher is silent that lives
MARGIN_S = 5.0  # a supervisor gives up before its launcher does
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
CLOSE_S = 25.0
LOST = 255
LOG = re.compile(r"worker-(\d+)\.log")


@dataclass(frozen=True)
class Sent:
    """What every machine of a launch gets. logs: where their logs go, here."""

    spec: StudySpec
    settings: Settings
    package: Files
    code: Files
    packages: Packages
    tunnel: Tunnel
    logs: Path

    @property
    def grace_s(self) -> float:
        """How long a machine's workers live without their launcher."""
        return max(self.settings.storage_wait_s, LEAST_GRACE_S)


class Machine:
    """See the module. say: called with a line for the person who launched.

    Three threads meet here, under `_lock`: the launcher's, one that listens, one that beats. A signal handler, which
    may come at any point of the first, takes no lock.
    """

    def __init__(self, place: Place, sent: Sent, say: Callable[[str], None]) -> None:
        self.host, self.n_workers = place.host, place.n_workers
        self.found: dict[str, Any] = {}
        self._sent, self._say = sent, say
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._directory: str | None = None  # on the machine; None: it has no supervisor that is known
        self._port = 0
        self._wanted = Wanted()
        self._n_stops = self._n_kills = 0
        self._is_cut = False
        self._workers: set[tuple[str, int]] = set()
        self._exits: list[Exit] = []
        self._answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # --- before the study -----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the connection and look around. Raises Cut, Refused."""
        python = self._sent.settings.python
        self._connection = Connection(self.host, python)
        self._connection.greet()
        self.found = self._connection.ask("look", modules=MODULES, key=self._sent.packages.key)

    def equip(self) -> None:
        """Send what workers need and start their supervisor. Raises Cut, Refused."""
        sent, ask = self._sent, self._asking()
        package, code = self._kept(sent.package), self._kept(sent.code)
        python = self.found["executable"]
        if sent.settings.python is None:
            python = ask("install", heard=self._heard, key=sent.packages.key, **vars(sent.packages))
        directory = ask("enter", directory=None)
        settings = {key: getattr(sent.settings, key) for key in ("lease_s", "storage_wait_s", "artifacts")}
        tunnel = self._open_tunnel(directory)
        given = {
            "directory": directory,
            "spec": sent.spec.model_dump(mode="json"),
            "settings": {**settings, "storage": sent.tunnel.url(directory, self._port)},
            "n_workers": self.n_workers,
            "grace_s": sent.grace_s,
        }
        start = {
            "command": [python, "-P", "-m", SUPERVISOR],
            "cwd": code,
            "environment": {"PYTHONPATH": package},
            "given": given,
            "certificate": sent.tunnel.certificate,
        }
        ask("serve", directory=directory, tunnel=tunnel, start=start)
        with self._lock:
            self._directory = directory
            self._wanted = replace(self._wanted, n_connections=1)
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name=self.host, daemon=True)
            self._thread.start()

    def describe(self, prepare: bool, progress: Callable[[str, float], None] | None) -> dict[str, Any]:
        """Return what the objective says of itself there, or the error. Raises Cut."""
        self._tell(describe=prepare)
        while True:
            answer = self._answers.get()
            if "cut" in answer:
                raise Cut(answer["cut"])
            if "progress" not in answer:
                return answer
            if progress is not None:
                progress(*answer["progress"])

    def _heard(self, line: str) -> None:
        self._say(f"{self.host}: {line}")

    def _asking(self) -> Callable[..., Any]:
        assert self._connection is not None
        return self._connection.ask

    def _kept(self, files: Files) -> str:
        """Return where files are on the machine, sent if they were not."""
        ask = self._asking()
        path = ask("keep", digest=files.digest, n_bytes=0)
        if path is None:
            path = ask("keep", files.compressed, heard=self._heard, digest=files.digest, n_bytes=len(files.compressed))
        return str(path)

    def _open_tunnel(self, directory: str) -> str | None:
        """Lead the way to the storage; return the name of its socket in the directory, where it has one."""
        assert self._connection is not None
        tunnel = self._sent.tunnel
        try:
            if not tunnel.is_socket:
                port = self._connection.forward(f"127.0.0.1:{self._port}", tunnel.here)
                self._port = self._port or int(port)
                return None
            name = f"tunnel-{self._wanted.n_connections}"
            self._connection.forward(f"{directory}/{name}", tunnel.here)
            return name
        except Refused as error:
            what = "Unix sockets (AllowStreamLocalForwarding)" if tunnel.is_socket else "ports (AllowTcpForwarding)"
            raise Refused(
                f"its sshd forwards no {what}, through which workers reach the storage ({error}); allow it in "
                "sshd_config, or use a server that the machine reaches: `studies storage serve`"
            ) from None

    # --- what is wanted -------------------------------------------------------------------------------------------

    def start(self, study: str, n_workers: int) -> None:
        """Start workers, at the next `beat`."""
        with self._lock:
            self._wanted = replace(self._wanted, study=study, n_started=self._wanted.n_started + n_workers)

    def stop(self) -> None:
        """Ask every worker to leave after its epoch, at the next `beat`. Safe in a signal handler, as is `kill`."""
        self._n_stops += 1

    def kill(self) -> None:
        """End every worker, at the next `beat`; one that cannot be reached ends with its supervisor's patience."""
        self._n_kills += 1

    def beat(self) -> None:
        """Say what is wanted; it also says that the launcher lives. One thread alone does."""
        with self._lock:
            wanted = replace(self._wanted, n_stops=self._n_stops, n_kills=self._n_kills)
            if self.is_gone:
                return
            if not self._is_cut:
                self._tell(wanted=vars(wanted))
            elif self._n_kills:
                within = f"within {self._sent.grace_s:.0f} s"
                self._give_up(f"it cannot be reached; what runs there ends by itself {within}")

    def _tell(self, **message: Any) -> None:
        if self._connection is not None:
            with suppress(Cut):  # its reader knows, too
                self._connection.tell(**message)

    # --- what is -------------------------------------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """Whether it was given up and is not back."""
        return self._directory is None

    @property
    def n_running(self) -> int:
        """How many workers have not ended, as far as is known."""
        with self._lock:
            return self._wanted.n_started - self._wanted.n_exits

    @property
    def n_unreaped(self) -> int:
        """How many have ended since the last `reap`."""
        return len(self._exits)

    def reap(self) -> list[Exit]:
        """Return the workers that have ended since the last call."""
        with self._lock:
            exits, self._exits = self._exits, []
            return exits

    # --- the connection -------------------------------------------------------------------------------------------

    def _live(self) -> None:
        """Hear what the machine says, and connect again, until the launcher closes."""
        while True:
            connection = self._connection
            assert connection is not None
            try:
                while True:
                    self._hear(json.loads(connection.line()))
            except (Cut, ValueError) as cut:
                why = str(cut)
            connection.cut()
            self._answers.put({"cut": why})  # for `describe`, if it waits
            if self._closing.is_set() or not self._wanted.study or not self._again(why):
                return

    def _hear(self, message: dict[str, Any]) -> None:
        with self._lock:
            if "exit" in message:
                ended = Exit(**message["exit"])
                self._exits.append(ended)
                self._workers.discard((ended.host, ended.pid))
                self._wanted = replace(self._wanted, n_exits=self._wanted.n_exits + 1)
            elif "pids" in message:
                self._workers = {(message["host"], pid) for pid in message["pids"].values()}
                for name, pid in message["pids"].items():
                    note_process(self._log_file(name), message["host"], pid)
            elif "log" in message:
                self._log(message["log"], message["at"], message["text"].encode("latin-1"))
            else:
                self._answers.put(message)

    def _log(self, name: str, at: int, content: bytes) -> None:
        """Add a piece to this machine's copy of a log."""
        if LOG.fullmatch(name) is None or at != self._wanted.logs.get(name, 0):
            return
        with self._log_file(name).open("ab") as log:
            log.write(content)
        self._wanted = replace(self._wanted, logs={**self._wanted.logs, name: at + len(content)})

    def _log_file(self, name: str) -> Path:
        """Return where this machine's copy of a log is, here."""
        slot, host = LOG.fullmatch(name), re.sub(r"[^\w.@-]", "_", self.host)
        assert slot is not None
        return self._sent.logs / f"worker-{host}-{slot[1]}.log"

    def _again(self, why: str) -> bool:
        """Connect again, however long it takes; False when the launcher closes meanwhile."""
        self._is_cut, cut_at, pause = True, time.monotonic(), FIRST_PAUSE_S
        self._say(f"The connection to {self.host} is cut ({why}); it is opened again while its workers wait.")
        while not self._closing.wait(pause):
            try:
                if self.is_gone:
                    self._come_back()
                elif not self._reattach():
                    self._give_up("its workers are gone")
                    continue
            except (Cut, Refused) as error:
                if not self.is_gone and time.monotonic() - cut_at > self._sent.grace_s + MARGIN_S:
                    self._give_up(str(error))
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            self._say(f"{self.host} is connected again.")
            return not self._closing.is_set()
        return False

    def _reattach(self) -> bool:
        """Connect to the supervisor that runs; False where there is none any more."""
        self._replace_connection()
        ask, directory = self._asking(), str(self._directory)
        if ask("enter", directory=directory) is None:
            return False
        with self._lock:
            self._wanted = replace(self._wanted, n_connections=self._wanted.n_connections + 1)
        tunnel = self._open_tunnel(directory)
        try:
            ask("serve", directory=directory, tunnel=tunnel, start=None)
        except Refused:
            return False
        self._is_cut = False
        return True

    def _come_back(self) -> None:
        """Start anew on a machine that was given up."""
        self._replace_connection()
        self.equip()
        with self._lock:
            self._is_cut = False
            if not (self._n_stops or self._n_kills):
                self._wanted = replace(self._wanted, n_started=self.n_workers)

    def _replace_connection(self) -> None:
        if self._connection is not None:
            self._connection.cut()
        self._connection = None
        self._connection = Connection(self.host, self._sent.settings.python)
        self._connection.greet()

    def _give_up(self, why: str) -> None:
        """Count this machine's workers as lost; it is welcome back."""
        with self._lock:
            self._say(f"{self.host} is given up ({why}); its trials go on elsewhere, and it is welcome back.")
            lost = self._workers or {(self.host, 0)}
            reason = f"{self.host} was given up: {why}"
            if self.n_running:
                self._exits += [Exit(host, pid, LOST, reason, lost=True) for host, pid in lost]
            self._workers, self._directory, self._port = set(), None, 0
            self._wanted = Wanted(study=self._wanted.study)

    def close(self) -> None:
        """End every worker and the connection: its supervisor sees that nobody is here any more."""
        self._closing.set()
        if self._thread is not None:
            if not self._is_cut:
                self._tell(close=True)
            self._thread.join(CLOSE_S)
        if self._connection is not None:
            self._connection.close()
