"""Imports what is slow to import, once, and starts a Python script for each trial by fork. Nothing here touches CUDA.

It is started as a file, by the Python of the study's command, and needs nothing but that Python's library:

    python preloader.py SOCKET FIRST_PATH MODULE...

SOCKET is a descriptor, whose other end the worker has. FIRST_PATH is what Python puts first into `sys.path` for the
script. When the modules are imported it writes a line of JSON: {}, or {"error": ...} where one cannot be. Then each
message is one run: the path of a JSON file (`preload.Preloader` writes it) with four descriptors, the output of the
script, the two of `supervisor`, and one that is closed when its supervisor has ended. The answer is the supervisor's
pid. It is forked from here, and the script from it, with all modules in memory. At the end of SOCKET this process ends;
supervisors see by themselves that the worker is gone.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

READS_ENVIRONMENT = "studies.program"  # when it is imported, so that each run does it anew
PATH_BYTES = 4096
N_DESCRIPTORS = 4

# Beside this file are modules with the names of others.
_here = str(Path(__file__).parent)
sys.path[:] = [_here, *(path for path in sys.path if path != _here)]
supervisor = importlib.import_module("supervisor")
del sys.path[0], sys.modules["supervisor"]


def main() -> None:
    """Import, and start runs until the worker is gone. `_serve` returns in the process of a run, which is then run."""
    server = socket.socket(fileno=int(sys.argv[1]))
    sys.path.insert(0, sys.argv[2])
    for number in supervisor.IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors that have ended leave no zombies
    try:
        _preload(sys.argv[3:])
    except BaseException as error:
        server.sendall(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        os._exit(1)
    server.sendall(b"{}\n")
    _run(_serve(server))


def _preload(modules: list[str]) -> None:
    # A look at the GPUs by CUDA itself would be its initialization, which no fork survives.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    for module in modules:
        importlib.import_module(module)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise RuntimeError("it uses a GPU while it is imported, and a process that is forked after that cannot use any")
    if sys.modules.pop(READS_ENVIRONMENT, None) is not None:
        del sys.modules["studies"].program
    gc.collect()
    gc.freeze()  # what is here by now stays shared: the collector does not write into it


def _serve(server: socket.socket) -> dict[str, Any]:
    """Start a supervisor for each message; return what to run in the process of a run."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, PATH_BYTES, N_DESCRIPTORS)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            server.close()
            given: dict[str, Any] = json.loads(Path(message.decode()).read_text(encoding="utf-8"))
            if _supervise(given, *descriptors):
                return given
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        server.sendall(f"{pid}\n".encode())


def _supervise(given: dict[str, Any], output: int, lifeline: int, status: int, gone: int) -> bool:
    """Supervise one run until it is over; return True in the process of the run itself."""
    os.setsid()
    os.environ.clear()
    os.environ.update(given["environment"])
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    is_run: bool = supervisor.supervise(lifeline, status, given["scratch"], given["grace_s"], supervisor.forked)
    if is_run:
        for descriptor in (lifeline, status, gone):
            os.close(descriptor)
    return is_run


def _run(given: dict[str, Any]) -> None:
    """Run a script or a module as Python would. What it raises ends this process as it would end Python's."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit.register(gc.unfreeze)  # libraries that look for leaks at the end would print all that was never collected
    os.chdir(given["directory"])
    sys.path[0] = given["first_path"]
    if "numpy" in sys.modules:  # its global generator has its seed since the import; others see to a fork by themselves
        sys.modules["numpy"].random.seed()
    module, sys.argv = given["module"], given["arguments"]
    try:
        if module is None:
            _run_file(Path(sys.argv[0]).absolute())
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception as error:
        error.__traceback__ = _of_script(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


def _run_file(path: Path) -> None:
    """Run a file as `__main__`, which stays: runpy would change `sys.argv`, and drop the module before the end."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__dict__.update(__file__=str(path), __cached__=None, __loader__=SourceFileLoader("__main__", str(path)))
    exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), main.__dict__)  # noqa: S102 - it is the program


def _of_script(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this file and of runpy."""
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    main()
