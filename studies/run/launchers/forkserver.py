"""The fork server: one process that imports what is slow to import, from which the others are forked.

It is started in the working directory, where a user may have a folder named `studies`. Python would look there first,
so it is told not to (PYTHONSAFEPATH); objectives are found in the working directory by `studies.own`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from multiprocessing import forkserver, util
from multiprocessing.context import ForkServerContext

from studies.files import directory_for_sockets

SAFE_PATH, OURS = "PYTHONSAFEPATH", "studies"
DIRECTORY = "STUDIES_FORK_SERVER"  # the variable that tells it where its socket is


def started(preload: str) -> ForkServerContext:
    """Start this process's fork server, unless it runs, and return its context. preload: the module it imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])  # by name: it is for the fork server alone
    before = os.environ.get(SAFE_PATH)
    os.environ |= {SAFE_PATH: before or OURS, DIRECTORY: _directory()}
    # A terminal's Ctrl-C is for this process, which ends the server; in the middle of an import it printed a traceback.
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, heard)
        del os.environ[DIRECTORY]
        if before is None:
            del os.environ[SAFE_PATH]
    atexit.register(_end)
    return context


def _directory() -> str:
    """Return multiprocessing's directory, with the fork server's socket in it, made where a socket's path is short."""
    before = tempfile.tempdir
    tempfile.tempdir = directory_for_sockets()
    try:
        return str(util.get_temp_dir())
    finally:
        tempfile.tempdir = before


def _end() -> None:
    """End the fork server with this process: it would by itself, but not before it has imported everything."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def settle() -> None:
    """In the fork server: forget the variables that were for it alone, and end without a word.

    The libraries of torch's compiler would print some at an orderly end. Processes forked from here end as they like.
    The server ends by itself when its launch was killed, which has left the directory of its socket behind.
    """
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]
    server, directory = os.getpid(), os.environ.pop(DIRECTORY, None)

    def leave() -> None:
        if os.getpid() == server:
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
            os._exit(0)

    atexit.register(leave)
