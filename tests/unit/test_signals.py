"""What a worker makes of the signals that people, services and Slurm send."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WORKER = """
import sys
from studies.run.signals import Stop, listen_to_signals
stop = Stop()
listen_to_signals(stop, at_once=True, say=lambda line: print(line, flush=True))
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


@pytest.mark.parametrize(
    "sent",
    [
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGINT)",
        "os.kill(0, signal.SIGTERM)",
        "os.kill(-os.getpgrp(), signal.SIGTERM)",
        "os.killpg(os.getpgrp(), signal.SIGTERM)",
        "signal.pthread_kill(threading.get_ident(), signal.SIGTERM)",
        "signal.raise_signal(signal.SIGTERM)",
        "import _thread; _thread.interrupt_main()",
        "import _thread; _thread.interrupt_main(signal.SIGTERM)",
        "thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)); thread.start(); thread.join()",
    ],
)
def test_what_an_objective_sends_to_itself_ends_it_as_any_program(sent: str) -> None:
    code = WORKER.replace('print("ready"', f'import os, signal, threading; {sent}; print("ready"')
    ended = subprocess.run([sys.executable, "-c", code], input="\n", capture_output=True, text=True, process_group=0)
    number = signal.SIGTERM if "SIGTERM" in sent else signal.SIGINT
    assert ended.returncode == -number
    assert ended.stdout == f"the objective sent {number.name} to its own process, and so ended this worker\n"


def test_what_an_objective_sends_to_others_does_not_make_a_later_signal_its_own() -> None:
    child = "child = subprocess.Popen(['sleep', '60']); os.kill(child.pid, signal.SIGTERM); child.wait()"
    outside = "subprocess.run(['kill', str(os.getpid())])"
    code = WORKER.replace('print("ready"', f'import os, signal, subprocess; {child}; {outside}; print("ready"')
    said = subprocess.run([sys.executable, "-c", code], input="\n", capture_output=True, text=True, check=True)
    assert said.stdout == f"ready\nSIGTERM received {signal.SIGTERM.value}\n"
