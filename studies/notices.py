"""Telling those who do not look what happens to a study: by a webhook, by a command of theirs.

Nobody waits for it: messages are sent by a thread of their own, tried again for a while, and what could not be sent is
said once. Workers know nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from studies.errors import WrongInput
from studies.settings import SECRETS
from studies.words import number, one_line, plural, state

if TYPE_CHECKING:
    from studies.record.front import Front
    from studies.record.progress import Winner
    from studies.settings import Settings

ANSWER_WITHIN_S = 10.0
COMMAND_WITHIN_S = 30.0
PAUSES_S = (1.0, 4.0, 15.0)  # before it is tried again
DRAIN_S = 20.0  # for what is still to be sent at the end
SILENT_S = 2.0  # of that, before it is said what is waited for
SIGNATURE = "X-Studies-Signature"
NO_COMMAND = (126, 127)  # a shell's codes for what it cannot run

Message = dict[str, Any]


class NotTaken(Exception):
    """A message was not taken. again: whether the same may be taken later."""

    def __init__(self, why: str, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


class Channel(ABC):
    """Sends messages in their order. name: what it is for a person, without secrets."""

    def __init__(self, name: str, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self.name = name
        self._pauses_s = pauses_s
        self._failed: str | None = None
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver_all, name="notices", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Have a message sent."""
        self._waiting.put(message)

    def close(self, say: Callable[[str], None] = lambda line: None, until: float | None = None) -> None:
        """Wait a while for what is still to be sent. say: told that it takes a while. until: at the longest."""
        self._waiting.put(None)
        left_s = DRAIN_S if until is None else max(0.0, until - time.monotonic())
        self._thread.join(min(SILENT_S, left_s))
        if self._thread.is_alive() and left_s > SILENT_S:
            with suppress(KeyboardInterrupt):
                say(f"{self.name} has not taken the last message yet; Ctrl-C ends the wait, or {left_s:.0f} s.")
                self._thread.join(left_s - SILENT_S)
        if self._thread.is_alive():
            self._failed = self._failed or "it does not answer"

    def complaint(self) -> str | None:
        """Return the sentence about what was not taken since the last call, or None."""
        why, self._failed = self._failed, None
        return None if why is None else f"{self.name} was not told everything: {why}."

    @abstractmethod
    def deliver(self, message: Message) -> None:
        """Send a message. Raises NotTaken."""

    def _deliver_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            for pause_s in (*self._pauses_s, None):
                try:
                    self.deliver(message)
                    break
                except NotTaken as error:
                    if pause_s is None or not error.again:
                        self._failed = str(error)
                        break
                    time.sleep(pause_s)


class Webhook(Channel):
    """Posts messages to an address. secret: what they are signed with, in the header `X-Studies-Signature`."""

    def __init__(self, url: str, secret: str | None, pauses_s: Sequence[float] = PAUSES_S) -> None:
        try:
            found = urlsplit(url)
            is_address = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        except ValueError:  # brackets without end, a port that is none
            is_address = False
        if not is_address:
            raise WrongInput(reason="STUDIES_WEBHOOK is no address; expected https://HOST/PATH.")
        login, at, place = found.netloc.rpartition("@")
        self._url, self._secret = found._replace(netloc=place, fragment="").geturl(), secret
        self._login = b64encode(unquote_to_bytes(login)).decode() if at else None
        # Slack takes a text and nothing else; others take its form at a path of this name.
        self._is_slack = found.hostname == "hooks.slack.com" or found.path.rstrip("/").endswith("/slack")
        super().__init__(f"The webhook at {found.hostname}", pauses_s)  # the rest of the address may be a secret

    def deliver(self, message: Message) -> None:
        """See Channel."""
        body = json.dumps({"text": message["text"]} if self._is_slack else message).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "studies"}
        if self._secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        if self._login is not None:
            headers["Authorization"] = f"Basic {self._login}"
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - http or https
        try:
            _straight.open(request, timeout=ANSWER_WITHIN_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code >= 500 or error.code == 429
            leads = "; STUDIES_WEBHOOK has to be the address that this leads to" if 300 <= error.code < 400 else ""
            raise NotTaken(f"it answered {error.code} {error.reason}{leads}", again) from None
        except (OSError, ValueError) as error:
            raise NotTaken(one_line(str(getattr(error, "reason", error)))) from None


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nothing: to where an answer leads, a page would be asked for, and no message sent."""

    def redirect_request(self, *given: Any) -> None:
        """See HTTPRedirectHandler."""


_straight = urllib.request.build_opener(_Straight)


class Command(Channel):
    """Runs a command of a shell for each message: its text on stdin, its facts in `STUDIES_*` variables.

    The command line is the person's own, and nothing is put into it.
    """

    def __init__(self, line: str, pauses_s: Sequence[float] = PAUSES_S, within_s: float = COMMAND_WITHIN_S) -> None:
        self._line, self._within_s = line, within_s
        super().__init__("STUDIES_NOTIFY_COMMAND", pauses_s)

    def deliver(self, message: Message) -> None:
        """See Channel."""
        kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._line],
                env=kept | facts(message),
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C ends a launch, and not the message about it
            )  # fmt: skip
        except OSError as error:
            raise NotTaken(f"it cannot be started ({error.strerror})") from None
        try:
            _, said = process.communicate(letter(message).encode(), self._within_s)
        except subprocess.TimeoutExpired:
            raise NotTaken(f"it took longer than {self._within_s:g} s", again=False) from None
        finally:
            with suppress(OSError):  # and what it has left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stderr):
                if pipe is not None:
                    pipe.close()
        if process.returncode:
            words = one_line(said.decode(errors="replace"))[-200:]
            why = f"it exited with {process.returncode}" + (f" ({words})" if words else "")
            raise NotTaken(why, again=process.returncode not in NO_COMMAND)


def channels(settings: Settings) -> list[Channel]:
    """Return how these settings have somebody told; empty where nobody is. Raises WrongInput."""
    found: list[Channel] = []
    if settings.webhook is not None:
        found.append(Webhook(settings.webhook, settings.webhook_secret))
    if settings.notify_command is not None:
        found.append(Command(settings.notify_command))
    return found


def _spread(best: Winner) -> dict[str, Any]:
    """Return what the value is a mean of, where the study has repeats."""
    return {} if best.repeated is None else {"n_repeats": best.repeated.n, "sd": best.repeated.sd}


def _by_state(states: Mapping[str, int]) -> dict[str, int]:
    """Return trials by state as the dashboard's API has them: `FAIL (exception)` is `failed`."""
    found: dict[str, int] = {}
    for name, n in states.items():
        word = state(name.partition(" ")[0])
        found[word] = found.get(word, 0) + n
    return found


def message(
    event: str,
    text: str,
    study: str,
    *,
    trials: int,
    n_trials: int | None,
    best: Winner | None,
    states: dict[str, int],
    front: Front | None = None,
) -> Message:
    """Return a message. trials: that have ended. n_trials: in the end, or None. states: trials by state.

    front: with several metrics, in place of `best`.
    """
    told = {
        "event": event,
        "text": text,
        "study": study,
        "host": socket.gethostname(),
        "trials": trials,
        "n_trials": n_trials,
        "best": best and {"value": best.value, "trial": best.trial, **_spread(best)},
        "states": _by_state(states),
    }
    return told if front is None else told | {"front": front.named}


def facts(message: Message) -> dict[str, str]:
    """Return what a command finds in its environment."""
    return {
        "STUDIES_EVENT": message["event"],
        "STUDIES_STUDY": one_line(message["study"]),
        "STUDIES_SUBJECT": one_line(message["text"]),  # of an e-mail: a line break would begin another header
    }


def letter(message: Message) -> str:
    """Return a message as the text of an e-mail."""
    best, front = message["best"], message.get("front")
    found = f"{number(best['value'])} (trial {best['trial']})" if best else "none yet"
    rows = [
        ("study", message["study"]),
        ("trials", f"{message['trials']} of {message['n_trials'] or 'as many as there is time for'}"),
        ("best", f"{plural(len(front), 'trial')} on the front" if front else found),
        ("told by", message["host"]),
    ]
    return f"{message['text']}\n\n" + "".join(f"{name}: {one_line(str(value))}\n" for name, value in rows)
