"""What an exception of an objective means for its trial: the reason why it failed."""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Iterator
from typing import Any

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


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, those of a group, and what each was raised because of: libraries wrap what the system says."""
    seen: set[int] = set()  # by identity: an exception may say of itself what it equals
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
        waiting.append(_reason_in(found))
        waiting.append(found.__cause__ or (None if found.__suppress_context__ else found.__context__))


def _reason_in(error: BaseException) -> Any:
    """What urllib's URLError and the like hold of the system's error."""
    try:
        return getattr(error, "reason", None)
    except Exception:  # a property that fails
        return None


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in in_words(error).lower() for words in _NO_MEMORY)


def _is_of_gpu(error: BaseException) -> bool:
    """Whether the GPU has failed, for which torch's words are older than its class."""
    if type(error).__name__ == "OutOfMemoryError":  # the GPU goes on
        return False
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and any(words in in_words(error).lower() for words in _GPU)


def _is_network(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return isinstance(error, (ConnectionError, TimeoutError)) or (
        isinstance(error, OSError) and error.errno in _NETWORK
    )
