"""A worker's process ends, whatever its objectives have left behind."""

from __future__ import annotations

import os
import subprocess
import sys

from ..waiting import PATIENCE_S

LEFT = """
import multiprocessing, sys, threading, time
from studies.run import leaving

leaving.GRACE_S = 0.2
if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(1000,), name="uploader").start()
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,), name="loader").start()
    print("printed", end="")
    leaving.leave(3, lambda line: print(line, file=sys.stderr))
"""

IDLE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from studies.run import leaving

pool = ThreadPoolExecutor(1)
pool.submit(abs, 1).result()
leaving.leave(3, lambda line: print(line, file=sys.stderr))
"""

BUSY = """
import sys, time
from joblib.externals.loky import get_reusable_executor
from studies.run import leaving

leaving.GRACE_S = 0.2
sleeping = get_reusable_executor(1).submit(time.sleep, 1000)
leaving.leave(3, lambda line: print(line, file=sys.stderr))
"""

FORKED = """
import os, sys
from studies.run.leaving import only_this_process

with only_this_process():
    child = os.fork()
    if child == 0 and sys.argv[1] == "raises":
        raise ValueError("in the child")
if child == 0:
    print("the child came back")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=os.environ)


def test_threads_and_processes_of_an_objective_do_not_keep_its_worker() -> None:
    ended = run(LEFT)
    assert ended.returncode == 3
    assert ended.stdout == "printed"
    assert "uploader, loader" in ended.stderr


def test_a_pool_that_is_idle_ends_by_itself_and_a_busy_one_is_killed() -> None:
    idle, busy = run(IDLE), run(BUSY)
    assert (idle.returncode, busy.returncode) == (3, 3)
    assert idle.stderr == ""
    assert "LokyProcess" in busy.stderr
    assert "Traceback" not in busy.stderr


def test_a_child_that_an_objective_forked_never_comes_back_as_a_worker() -> None:
    assert run(FORKED, "returns").stdout == "0\n"
    raised = run(FORKED, "raises")
    assert raised.stdout == "1\n"
    assert "ValueError: in the child" in raised.stderr
