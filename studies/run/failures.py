"""What an exception of an objective means for its trial: the reason why it failed."""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Iterator

from optuna.trial import TrialState

from studies.names import PEAK_MEMORY_MIB, TRACEBACK, Reason
from studies.run.end import Outcome
from studies.run.program import ProgramFailed
from studies.words import clean

MESSAGE_CHARACTERS = 2000  # of an exception's message; some hold a whole tensor
ATTRIBUTE_CHARACTERS = 4000  # of the traceback go into the storage, for those who cannot reach the artifacts
ARTIFACT_CHARACTERS = 60_000  # at most are kept as an artifact; of a longer one, the end

# By their words, for torch is not imported here and has one class or another for them.
_NO_MEMORY = ("out of memory", "can't allocate memory", "_alloc_failed")
_GPU = ("cuda error", "cudnn error", "cublas error", "device-side assert")

_NETWORK = {
    errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.EPIPE, errno.ETIMEDOUT, errno.ENETDOWN,
    errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ESTALE,
}  # fmt: skip


def outcome_of(error: BaseException) -> Outcome:
    """Return how a trial ends whose objective raised this."""
    if isinstance(error, ProgramFailed):
        return _of_program(error)
    trace = clean("".join(traceback.format_exception(error)))[-ARTIFACT_CHARACTERS:]
    return Outcome(
        TrialState.FAIL,
        reason=reason_of(error),
        detail=in_words(error),
        attributes={TRACEBACK: trace[-ATTRIBUTE_CHARACTERS:]},
        traceback=trace,
        gpu_failed=any(_is_of_gpu(found) for found in _with_causes(error)),
    )


def _of_program(error: ProgramFailed) -> Outcome:
    """Return how a trial ends whose program failed: what it printed last stands for the traceback."""
    trace = clean(error.ended.tail)[-ARTIFACT_CHARACTERS:]
    detail = clean(str(error))[:MESSAGE_CHARACTERS]
    return Outcome(
        TrialState.FAIL,
        reason=error.reason,
        detail=detail,
        attributes={TRACEBACK: trace[-ATTRIBUTE_CHARACTERS:], PEAK_MEMORY_MIB: error.ended.memory_mib},
        traceback=trace,
        gpu_failed=any(words in error.ended.tail.lower() for words in _GPU),
    )


def in_words(error: BaseException) -> str:
    """Return the exception's name and message, whatever its own `__str__` does."""
    return clean("".join(traceback.format_exception_only(error)).strip())[:MESSAGE_CHARACTERS]


def reason_of(error: BaseException) -> Reason:
    """Return the reason: a connection may come back by itself, an exception would come again."""
    if any(_is_out_of_memory(found) for found in _with_causes(error)):
        return Reason.OUT_OF_MEMORY
    if any(_is_network(found) for found in _with_causes(error)):
        return Reason.CONNECTION
    return Reason.EXCEPTION


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it was raised because of: libraries wrap what the system says, some more than once."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        reason = getattr(error, "reason", None)  # urllib's URLError
        if isinstance(reason, BaseException):
            error = reason
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def _is_of_gpu(error: BaseException) -> bool:
    """Whether the GPU has failed, for which torch's words are older than its class."""
    if type(error).__name__ == "OutOfMemoryError":  # the GPU goes on
        return False
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _GPU)


def _is_network(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return isinstance(error, (ConnectionError, TimeoutError)) or (
        isinstance(error, OSError) and error.errno in _NETWORK
    )
