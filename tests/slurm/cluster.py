"""A Slurm cluster of this machine alone: Debian's slurm-wlm and munge, in a directory of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from ..waiting import PATIENCE_S, wait_for

CPUS = 4  # whatever this machine has: one worker takes one

# Partition `high` takes CPUs away from jobs in `low`, which are queued again, and in `lowest`, which are not. `wide`
# has a machine more, never there.
# Jobs that are queued again may begin after `cred_expire` seconds.
CONFIGURATION = """
ClusterName=studies
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={directory}/munge.socket,cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
NodeName=other NodeAddr=127.0.0.1 Port={nobody} CPUs={cpus} State=DOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1
PartitionName=lowest Nodes={host} PriorityTier=1 PreemptMode=CANCEL
PartitionName=high Nodes={host} PriorityTier=10
PartitionName=wide Nodes={host},other
"""


class Cluster:
    """The three daemons. `configuration` is what SLURM_CONF has to name."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.configuration = directory, directory / "slurm.conf"

    def __enter__(self) -> Cluster:
        host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool"):
            (self.directory / name).mkdir()
        given = {
            "controller": _free_port(),
            "daemon": _free_port(),
            "nobody": _free_port(),
            "directory": self.directory,
            "cpus": CPUS,
        }
        self.configuration.write_text(CONFIGURATION.format(host=host, **given))
        key = self.directory / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        try:
            files = [f"--{name}={self.directory}/munged.{name[:-5]}" for name in ("pid-file", "log-file", "seed-file")]
            socket_file = self.directory / "munge.socket"
            self._run("munged", "--force", f"--socket={socket_file}", f"--key-file={key}", *files)
            self._run("slurmctld")
            self._run("slurmd", "-N", host)
            self._wait_until_idle()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every job, then the daemons: slurmctld would wait for the machine that is not there."""
        with suppress(AssertionError):
            self("scancel", "--user=root")
        for name in ("slurmd", "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((self.directory / f"{name}.pid").read_text()), signal.SIGKILL)

    def __call__(self, *command: str) -> str:
        """Return what a command of Slurm's prints."""
        return self._run(*command).strip()

    def _run(self, *command: str) -> str:
        path = f"{os.environ['PATH']}:/usr/sbin"
        program = shutil.which(command[0], path=path) or command[0]
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        done = subprocess.run(
            [program, *command[1:]], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def _wait_until_idle(self) -> None:
        wait_for(
            lambda: "idle" in self("sinfo", "--noheader", "--partition=low", "--format=%t"),
            lambda: (self.directory / "slurmctld.log").read_text()[-2000:],
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
