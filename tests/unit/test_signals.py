"""What a worker makes of the signals that people, services and Slurm send."""

from __future__ import annotations

import signal
import subprocess
import sys

WORKER = """
import sys
from studies.run.worker import Stop, listen_to_signals
stop = Stop()
listen_to_signals(stop, at_once=True)
print("ready", flush=True)
for line in sys.stdin:
    print(stop.why, stop.signal, flush=True)
"""


def test_only_a_second_ctrl_c_ends_a_worker_at_once() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert worker.stdin is not None
    assert worker.stdout is not None

    def after(*signals: signal.Signals) -> str:
        for number in signals:
            worker.send_signal(number)
        print(file=worker.stdin)
        return worker.stdout.readline().strip()

    with worker:
        assert worker.stdout.readline() == "ready\n"
        assert after(signal.SIGTERM) == f"SIGTERM received {signal.SIGTERM.value}"
        # Slurm's second one, before it kills; a launcher that asks as well; and the first Ctrl-C.
        assert after(signal.SIGTERM, signal.SIGURG, signal.SIGINT) == f"SIGTERM received {signal.SIGTERM.value}"
        worker.send_signal(signal.SIGINT)
        assert worker.wait() == 128 + signal.SIGINT


def test_a_worker_that_its_launcher_asks_to_leave_was_not_interrupted() -> None:
    asked = WORKER.replace('print("ready"', 'import os, signal; os.kill(os.getpid(), signal.SIGURG); print("ready"')
    said = subprocess.run([sys.executable, "-c", asked], input="\n", capture_output=True, text=True, check=True)
    assert said.stdout == "ready\nits launcher asked for it None\n"
