"""Others are told what happens to a launch: a real server that answers as it is asked to, and real commands."""

from __future__ import annotations

import _thread
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from studies import notices
from studies.errors import Interrupted, WrongInput
from studies.notices import SIGNATURE, Channel, Command, Webhook
from studies.record.progress import Progress, Winner
from studies.storage.budget import Budget
from studies.view.notifying import NotifyingView

from ..waiting import wait_for


class Receiver(ThreadingHTTPServer):
    """A server that keeps what it is sent, and answers with the next of `answers`, or 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.signatures: list[str | None] = []
        self.logins: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def messages(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.server.signatures.append(self.headers[SIGNATURE])
        self.server.logins.append(self.headers["authorization"])
        self.send_response(answer := self.server.answers.pop(0) if self.server.answers else 200)
        if answer == 302:
            self.send_header("location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:  # a page, as most addresses have for a browser
        self.send_response(200)
        self.end_headers()

    def log_message(self, *given: Any) -> None:
        pass


class Said:
    """A view that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def preparing(self, what: str, fraction: float) -> None: ...

    def update(self, progress: Progress) -> None: ...

    def say(self, line: str) -> None:
        self.lines.append(line)

    def __enter__(self) -> Said:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def progress(done: int, best: float | None = None, failures: int = 0) -> Progress:
    budget = Budget(n_trials=5, counted=done, failures_in_a_row=failures)
    return Progress("mine", budget, {"COMPLETE": done}, done, None if best is None else Winner(done, best), [])


def told(url: str, *seen: Progress, secret: str | None = None, error: Exception | None = None) -> list[str]:
    """Run a launch that looks like this, one after the other; return what was said."""
    return told_by(Webhook(url, secret, pauses_s=(0.0, 0.0)), *seen, error=error)


def told_by(channel: Channel, *seen: Progress, error: Exception | None = None) -> list[str]:
    view = Said()
    with suppress(Interrupted), NotifyingView(view, [channel]) as notifying:
        for each in seen:
            notifying.update(each)
        if error is not None:
            raise error
    return view.lines


def test_a_new_best_and_the_end_are_told(receiver: Receiver) -> None:
    assert told(receiver.url, progress(0), progress(2, 0.5), progress(3, 0.5), progress(5, 0.5)) == []
    best, finished = receiver.messages
    assert (best["event"], best["text"]) == ("best", "mine: new best 0.5000, trial 2.")
    assert (best["study"], best["trials"], best["n_trials"]) == ("mine", 2, 5)
    assert best["best"] == {"value": 0.5, "trial": 2}
    assert finished["event"] == "finished"
    assert finished["text"].startswith("Finished: mine: 5/5 trials")


def test_the_best_of_an_earlier_launch_is_no_news_and_many_are_one(receiver: Receiver) -> None:
    told(receiver.url, progress(1, 0.4), *(progress(n, 0.4 + n / 100) for n in (2, 3, 4)))
    assert [message["event"] for message in receiver.messages] == ["best", "stopped"]


def test_failures_in_a_row_are_told_once(receiver: Receiver) -> None:
    told(receiver.url, *(progress(n, failures=n) for n in range(5)), progress(5, failures=0))
    assert [message["text"] for message in receiver.messages][:-1] == ["mine: 3 failures in a row."]


def test_an_end_before_its_time_says_why(receiver: Receiver) -> None:
    error = Interrupted(command="launch mine", trials="2 of 5 trials")
    told(receiver.url, progress(2), error=error)
    (message,) = receiver.messages
    assert message["event"] == "stopped"
    assert str(error) in message["text"]


def test_a_launch_that_had_nothing_to_do_tells_nothing(receiver: Receiver) -> None:
    assert told(receiver.url) == []
    assert receiver.bodies == []


def test_messages_are_signed(receiver: Receiver) -> None:
    told(receiver.url, progress(5), secret="of two")
    (body,), (signature,) = receiver.bodies, receiver.signatures
    assert signature == "sha256=" + hmac.new(b"of two", body, hashlib.sha256).hexdigest()


def test_slack_gets_a_text_and_nothing_else(receiver: Receiver) -> None:
    told(f"{receiver.url}/services/slack/", progress(5))
    (message,) = receiver.messages
    assert list(message) == ["text"]


@pytest.mark.parametrize(
    ("answers", "n_sent", "said"),
    [
        ([500, 429], 3, None),
        ([500, 502, 503], 3, "503"),
        ([404], 1, "404"),
        ([302], 1, "302 Found; STUDIES_WEBHOOK has to be the address that this leads to"),
    ],
)
def test_it_is_tried_again_where_that_may_help(
    answers: list[int], n_sent: int, said: str | None, receiver: Receiver
) -> None:
    receiver.answers = answers
    lines = told(f"{receiver.url}/secret-path", progress(5))
    assert len(receiver.bodies) == n_sent
    assert len(lines) == (said is not None)
    if said is not None:
        assert f"The webhook at 127.0.0.1 was not told everything: it answered {said}" in lines[0]
        assert "secret" not in lines[0]


def test_a_server_that_is_not_there_harms_nothing(receiver: Receiver) -> None:
    nowhere = replace(progress(5), name="alone")
    lines = told("http://127.0.0.1:9/secret", nowhere)
    assert "The webhook at 127.0.0.1 was not told everything: " in lines[0]
    assert "secret" not in lines[0]


def test_who_is_in_the_address_logs_in(receiver: Receiver) -> None:
    assert told(receiver.url.replace("//", "//me:p%40ss@"), progress(5)) == []
    assert receiver.logins == ["Basic " + base64.b64encode(b"me:p@ss").decode()]


def test_states_are_those_of_the_dashboards_api(receiver: Receiver) -> None:
    states = {"COMPLETE": 1, "FAIL (exception)": 2, "FAIL (nan)": 1, "PRUNED": 1}
    told(receiver.url, replace(progress(5), states=states))
    assert receiver.messages[0]["states"] == {"complete": 1, "failed": 3, "pruned": 1}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "hooks.example", "http://", "ftp://x/y", "http://[::1", "http://h:x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(WrongInput, match="STUDIES_WEBHOOK is no address; expected https://HOST/PATH"):
        Webhook(url, None)


# --- a command --------------------------------------------------------------------------------------------------------

HOSTILE_NAME = "x'; touch hacked; echo $(touch hacked) `touch hacked`\nBcc: all@example.org"


def test_a_command_gets_the_text_on_stdin_and_the_facts_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIES_STORAGE", "postgresql://me:pass-of-nobody@host/db")
    monkeypatch.chdir(tmp_path)
    line = (
        'printf "%s\\n" "Subject: $STUDIES_SUBJECT" "$STUDIES_EVENT, $STUDIES_STUDY" >> mail; cat >> mail; env > seen'
    )
    assert told_by(Command(line, ()), replace(progress(5, 0.5), name=HOSTILE_NAME)) == []
    mail = (tmp_path / "mail").read_text().splitlines()
    assert mail[0].startswith("Subject: Finished: x'; touch hacked")
    assert mail[1].startswith("finished, x'; touch hacked")
    assert "trials: 5 of 5" in mail
    assert "best: 0.5000 (trial 5)" in mail
    assert not any(line.startswith("Bcc") for line in mail[:3])
    assert not (tmp_path / "hacked").exists()
    assert "pass-of-nobody" not in (tmp_path / "seen").read_text()


def test_a_command_that_fails_is_tried_again(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    twice = f"echo again >> {tries}; [ $(wc -l < {tries}) -ge 3 ] || {{ echo no relay >&2; exit 75; }}"
    assert told_by(Command(twice, (0.0, 0.0)), progress(5)) == []
    assert len(tries.read_text().splitlines()) == 3
    tries.unlink()
    (line,) = told_by(Command(twice, (0.0,)), progress(5))
    assert line == "STUDIES_NOTIFY_COMMAND was not told everything: it exited with 75 (no relay)."
    (line,) = told_by(Command("no-such-mailer -s x", (60.0,)), progress(5))
    assert "it exited with 127" in line


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    *_, line = told_by(Command(f"sleep 600 & echo $! > {pid}; wait", (60.0,), within_s=2.0), progress(5))
    assert line == "STUDIES_NOTIFY_COMMAND was not told everything: it took longer than 2 s."
    wait_for(lambda: not psutil.pid_exists(int(pid.read_text())))


class Slow(Channel):
    """A channel that waits until it is let go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        super().__init__("The pigeon")

    def deliver(self, message: dict[str, Any]) -> None:
        self.goes_on.wait()


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_wait_at_the_end_says_what_for_and_ends_at_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    monkeypatch.setattr(notices, "SILENT_S", 0.01)
    slow, said = Slow(), []

    def say(line: str) -> None:
        said.append(line)
        _thread.interrupt_main() if interrupted else slow.goes_on.set()

    slow.send({})
    slow.close(say)
    slow.goes_on.set()
    assert said == ["The pigeon has not taken the last message yet; Ctrl-C ends the wait, or 20 s."]
    assert (slow.complaint() is not None) == interrupted
