"""The process through which a launch belongs to a Ray cluster, and the launch's side of it.

    python -P -m studies.run.launchers.ray.driver DESCRIPTOR

Ray ends a process that has lost the head of its cluster for a minute, and has calls that wait as long. So it has one of
its own: a launch never waits for it, and starts another one when it is gone. When the launch is gone, this process lets
the workers leave.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from studies.errors import StudiesError
from studies.run.launchers.ray.cluster import Cluster, CutOff, Facts, Order, Seen, Work
from studies.words import one_line

CONNECT_S = 90.0  # for Ray to let this machine in
SILENCE_S = 20.0  # a cluster that answers nothing for longer is not there
END_S = 15.0


class Driver:
    """A process that belongs to a cluster, or is about to. address: as `--on ray:` has it."""

    def __init__(self, address: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
            quiet = subprocess.DEVNULL  # Ray writes its own logs
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,  # Ctrl-C is the launcher's to hand on
            )
        self._pipe = Connection(ours.detach())
        self._pipe.send(address)
        self._has_work = False
        self._deadline: float | None = time.monotonic() + CONNECT_S  # of the answer that it owes

    def facts(self) -> Facts:
        """Return what there is, once it has connected. Raises CutOff, and WrongInput where nothing answers."""
        self._pipe.poll(CONNECT_S)
        answer = self._answer()
        if not isinstance(answer, Facts):
            raise CutOff("it does not answer")
        return answer

    def look(self, orders: Mapping[str, Order], work: Work) -> Seen | None:
        """Return how workers are, as asked by an earlier call; None where no answer has come yet. Never waits.

        work: what every worker is, which is sent once. Raises CutOff, and WrongInput where nothing answers there.
        """
        if self._deadline is None:
            if not self._has_work:
                self._send(work)
                self._has_work = True
            self._send(dict(orders))
            self._deadline = time.monotonic() + SILENCE_S
        answer = self._answer()
        return answer if isinstance(answer, Seen) else None

    def close(self) -> None:
        """Leave the cluster; its workers finish their epochs and leave."""
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self.cut()

    def cut(self) -> None:
        """End the process: it cannot reach the cluster. Workers go on."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise CutOff("Ray has ended the connection") from None

    def _answer(self) -> Facts | Seen | None:
        try:
            if not self._pipe.poll():
                if self._deadline is not None and time.monotonic() > self._deadline:
                    raise CutOff("it does not answer")
                return None
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise CutOff("Ray has ended the connection") from None
        self._deadline = None
        if isinstance(answer, Exception):
            raise answer
        found: Facts | Seen = answer
        return found


def main() -> None:
    """Answer the launch until it is gone."""
    pipe = Connection(int(sys.argv[1]))
    try:
        cluster = Cluster(pipe.recv())
        pipe.send(cluster.facts())
    except StudiesError as error:
        pipe.send(error)
        return
    while (message := _heard(pipe)) is not None:
        if isinstance(message, Work):
            cluster.work = message
        else:
            answer = _seen(cluster, message)
            with suppress(OSError):  # the launch is gone, which the next look at the pipe finds
                pipe.send(answer)
    cluster.leave()


def _heard(pipe: Connection) -> Any:
    """Return what the launch says; None once it is gone."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _seen(cluster: Cluster, orders: Mapping[str, Order]) -> Seen | CutOff:
    try:
        return cluster.look(orders)
    except CutOff as error:
        return error
    except Exception as error:  # whatever Ray has to say
        return CutOff(one_line(str(error)))


if __name__ == "__main__":
    main()
