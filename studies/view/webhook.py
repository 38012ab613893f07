"""Telling a webhook what happens to a launch: a new best, many failures in a row, its end.

Nothing here is waited for while a study runs: messages are sent by a thread of their own, tried again for a while, and
what could not be sent is said once, at the end. Workers know nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from studies.errors import WrongInput
from studies.view.line import line_of
from studies.words import number, one_line, plural

if TYPE_CHECKING:
    from studies.record.progress import Progress, Winner
    from studies.run.launch import View

FAILURES = (3, 10, 30, 100)  # in a row: each is told once
BEST_EVERY_S = 60.0  # at most so often: the first trials are each the best one so far
ANSWER_WITHIN_S = 10.0
PAUSES_S = (1.0, 4.0, 15.0)  # before it is tried again
DRAIN_S = 20.0  # for what is still to be sent at the end
SIGNATURE = "X-Studies-Signature"


class Webhook:
    """Sends messages in their order. secret: what they are signed with, in the header `X-Studies-Signature`."""

    def __init__(self, url: str, secret: str | None, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        found = urlsplit(url)
        if found.scheme not in ("http", "https") or not found.hostname:
            raise WrongInput(reason="STUDIES_WEBHOOK is no address; expected https://HOST/PATH.")
        self.host = found.hostname  # the rest of the address may be a secret
        self.failed: str | None = None
        self._url, self._secret, self._pauses_s = url, secret, pauses_s
        # Slack takes a text and nothing else; others take its form at a path of this name.
        self._is_slack = self.host == "hooks.slack.com" or found.path.rstrip("/").endswith("/slack")
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    def send(self, message: dict[str, Any]) -> None:
        """Have a message sent."""
        self._waiting.put({"text": message["text"]} if self._is_slack else message)

    def close(self) -> None:
        """Wait a while for what is still to be sent."""
        self._waiting.put(None)
        self._thread.join(DRAIN_S)
        if self._thread.is_alive():
            self.failed = self.failed or "it does not answer"

    def _send_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._send(json.dumps(message).encode())

    def _send(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "studies"}
        if self._secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
        for pause_s in (*self._pauses_s, None):
            request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - http or https
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                why = f"it answered {error.code} {error.reason}"
                error.close()
                if error.code < 500 and error.code != 429:  # the same again would be refused again
                    pause_s = None
            except (OSError, ValueError) as error:
                why = one_line(str(getattr(error, "reason", error)))
            if pause_s is None:
                self.failed = why
                return
            time.sleep(pause_s)


class NotifyingView:
    """A view that also tells a webhook."""

    def __init__(self, view: View, webhook: Webhook) -> None:
        self._view, self._webhook = view, webhook
        self._seen: Progress | None = None
        self._best: Winner | None = None
        self._best_told_at = float("-inf")
        self._failures_told = 0

    def preparing(self, what: str, fraction: float) -> None:
        """See View."""
        self._view.preparing(what, fraction)

    def say(self, line: str) -> None:
        """See View."""
        self._view.say(line)

    def update(self, progress: Progress) -> None:
        """See View."""
        self._view.update(progress)
        before, self._seen = self._seen, progress
        if before is None:
            self._best = progress.best  # of an earlier launch
        self._tell_best(progress)
        self._tell_failures(progress)

    def _tell_best(self, progress: Progress) -> None:
        best = progress.best
        if best is None or best == self._best or time.monotonic() - self._best_told_at < BEST_EVERY_S:
            return
        self._best, self._best_told_at = best, time.monotonic()
        self._tell("best", f"{progress.name}: new best {number(best.value)}, trial {best.trial}.", progress)

    def _tell_failures(self, progress: Progress) -> None:
        n = progress.budget.failures_in_a_row
        reached = max((many for many in FAILURES if many <= n), default=0)
        if reached > self._failures_told:
            self._tell("failures", f"{progress.name}: {plural(n, 'failure')} in a row.", progress)
        self._failures_told = reached

    def _tell(self, event: str, text: str, progress: Progress) -> None:
        budget = progress.budget
        self._webhook.send(
            {
                "event": event,
                "text": text,
                "study": progress.name,
                "host": socket.gethostname(),
                "trials": budget.done,
                "n_trials": budget.n_trials,
                "best": progress.best and {"value": progress.best.value, "trial": progress.best.trial},
                "states": progress.states,
            }
        )

    def __enter__(self) -> NotifyingView:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._seen is not None:
                is_done = error is None and self._seen.budget.done >= self._seen.budget.n_trials
                event = "finished" if is_done else "stopped"
                why = "" if error is None else f" {one_line(str(error) or type(error).__name__)}"
                self._tell(event, f"{event.capitalize()}: {line_of(self._seen)}.{why}", self._seen)
            self._webhook.close()
            if self._webhook.failed:
                self._view.say(f"The webhook at {self._webhook.host} was not told everything: {self._webhook.failed}.")
        finally:
            self._view.__exit__(kind, error, trace)
