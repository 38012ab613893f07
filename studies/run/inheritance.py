"""What processes inherit that an objective starts, such as a DataLoader's: what `python train.py` would give them.

A worker is forked from a server of its launcher, listens to signals in its own way, and has variables of its own. None
of that is an objective's business.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable


def like_a_program(own_variables: Iterable[str]) -> None:
    """Make this worker's children those of a plain program. own_variables: of the environment, not for children.

    A process that is forked by the fork server would start its own children by a fork server, too: slow to begin, and
    unable to take a lambda. Terminal signals reach a worker's group no more: the launcher alone hands them on.
    """
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)  # the first is the default
    for name in own_variables:
        os.environ.pop(name, None)
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_listen_as_python_does)
    os.setpgid(0, 0)


SIGNALS = {signal.SIGTERM, signal.SIGINT}


def _block() -> None:
    # A signal to the child that comes before it listens in its own way would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _listen_as_python_does() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _unblock()
