"""What an exception means: to be told to the sampler, to be tried again, or to be mended."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from studies.errors import shortage_in
from studies.run.failures import outcome_of, reason_of


def wrapped(cause: Exception) -> Exception:
    """The cause, in an error of a library that wraps it in one of its own."""
    try:
        try:
            raise cause
        except Exception:
            raise RuntimeError("reading the data failed")  # noqa: B904 - as many libraries do
    except RuntimeError as error:
        return error


def refused() -> Exception:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{probe.getsockname()[1]}/")
        except urllib.error.URLError as error:
            return error
    raise AssertionError("somebody answered")


def too_large() -> Exception:
    try:
        torch.empty(2**55, dtype=torch.float64)
    except RuntimeError as error:
        return error
    raise AssertionError("it had the memory")


def too_large_for_numpy() -> Exception:
    try:
        np.empty(2**55)
    except MemoryError as error:
        return error
    raise AssertionError("it had the memory")


class Speechless(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no words")


class Reasonless(Exception):
    @property
    def reason(self) -> str:
        raise ValueError("no reason")


class Incomparable(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("equal to nothing")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Speechless(), "exception"),
        (Reasonless(), "exception"),
        (wrapped(Incomparable()), "exception"),
        (BaseExceptionGroup("tasks", [KeyboardInterrupt(), ExceptionGroup("net", [ConnectionError()])]), "connection"),
        (ExceptionGroup("tasks", [ValueError(), MemoryError()]), "out_of_memory"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "connection"),
        (http.client.RemoteDisconnected("closed without a response"), "connection"),
        (TimeoutError("timed out"), "connection"),
        (OSError(errno.ENETUNREACH, "unreachable"), "connection"),
        (OSError(errno.ESTALE, "stale file handle"), "connection"),
        (socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"), "connection"),
        (refused(), "connection"),
        (wrapped(BrokenPipeError(errno.EPIPE, "broken pipe")), "connection"),
        (socket.gaierror(socket.EAI_NONAME, "name or service not known"), "exception"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "exception"),
        (OSError(errno.ENOSPC, "no space left on device"), "exception"),
        (ValueError("shapes do not fit"), "exception"),
        (wrapped(KeyError("title")), "exception"),
        (too_large(), "out_of_memory"),
        (too_large_for_numpy(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "out_of_memory"),
        (OSError(errno.ENOMEM, "cannot allocate memory"), "out_of_memory"),
        (wrapped(torch.OutOfMemoryError("CUDA out of memory")), "out_of_memory"),
        (ValueError("out of memory is what this title says"), "exception"),
    ],
    ids=lambda value: (
        f"{type(value).__name__}-{value}"[:50]
        if isinstance(value, Exception) and not isinstance(value, Speechless)
        else ""
    ),
)
def test_the_reason(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_an_error_that_is_its_own_cause() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert reason_of(first) == "exception"


def raise_with_a_hidden_context() -> None:
    try:
        raise ConnectionResetError
    except ConnectionResetError:
        raise ValueError("the file has no header") from None


def test_a_hidden_context_does_not_count() -> None:
    with pytest.raises(ValueError, match="no header") as raised:
        raise_with_a_hidden_context()
    assert reason_of(raised.value) == "exception"


def test_a_traceback_is_bounded() -> None:
    outcome = outcome_of(ValueError("x" * 10**6))
    assert outcome.traceback is not None
    assert len(outcome.traceback) <= 60_000
    assert len(outcome.attributes["traceback"]) == 4000


class AcceleratorError(RuntimeError):
    """Named as torch's, which none of its builds without CUDA raises."""


class OutOfMemoryError(RuntimeError):
    """The same."""


@pytest.mark.parametrize(
    ("error", "reason", "gpu_failed"),
    [
        (AcceleratorError("CUDA error: device-side assert triggered"), "exception", True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "exception", True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "exception", True),
        (wrapped(RuntimeError("CUDA error: unspecified launch failure")), "exception", True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out_of_memory", False),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), "out_of_memory", False),
        (RuntimeError("expected a tensor on cuda"), "exception", False),
    ],
)
def test_whether_a_process_can_still_use_its_gpu(error: Exception, reason: str, gpu_failed: bool) -> None:
    outcome = outcome_of(error)
    assert (outcome.reason, outcome.gpu_failed) == (reason, gpu_failed)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "no more processes or threads (BlockingIOError: "),
        (RuntimeError("can't start new thread"), "`ulimit -u`"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a.csv"), "raise `ulimit -n`, then type the same."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.csv"), "room on the disk (OSError: [Errno 28] "),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a.csv"), "'a.csv'); make room there"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "no more memory"),
        (MemoryError(), "`ulimit -v`"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "no more memory"),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT), "a.csv"), "None"),
    ],
)
def test_what_a_system_has_too_little_of_is_said_in_words(error: Exception, expected: str) -> None:
    assert expected in str(shortage_in(f"{type(error).__name__}: {error}"))
