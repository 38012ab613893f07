"""The dashboard shows what workers and programs print, as it comes, and no other file."""

from __future__ import annotations

import http.client
import os
import socket
from contextlib import closing
from pathlib import Path

from studies.logs.log import Log, tail
from studies.logs.noted import note_process
from studies.logs.places import N_LAUNCHES, known_logs, logs_of_processes, logs_of_workers, worker_logs
from studies.storage import Storage
from studies.storage.accounts import Role
from studies.web.logs import printed

from ..dashboards import Dashboard, served
from ..reports import HOSTILE
from ..waiting import PATIENCE_S
from .test_dashboard import started

LAUNCH = "20260101-000000-7"


def worker_log(home: Path, study: str, text: str) -> Path:
    path = home / "logs" / study / LAUNCH / "worker-0.log"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    note_process(path, socket.gethostname(), os.getpid())
    return path


def test_a_worker_and_a_program_lead_to_their_logs(storage: Storage, open_house: Dashboard, tmp_path: Path) -> None:
    study = started(storage)
    browser = open_house.browser()
    assert "No log of this study is on this machine" in browser.get("/studies/small/logs").text
    storage.ledger.enter(study._study_id, "cpu")
    study.ask()
    worker_log(tmp_path, "small", f"epoch 1\n{HOSTILE}\n")
    log = Log(tmp_path / "logs" / "small" / "trial-0.log")
    log.write(b"\x1b[31m 1%\r\x1b[0m99%\n")
    log.close("exited with 0")
    page = browser.get("/studies/small").text
    for name in (f"{LAUNCH}/worker-0", "trial-0"):
        assert f'"/studies/small/logs/{name}"' in page
        assert f'"/studies/small/logs/{name}"' in browser.get("/studies/small/logs").text
    shown = browser.get(f"/studies/small/logs/{LAUNCH}/worker-0").text
    assert "epoch 1\n" in shown
    assert "<img" not in shown
    assert browser.get(f"/studies/small/logs/{LAUNCH}/worker-0/text").text == f"epoch 1\n{HOSTILE}\n"
    assert "<pre>\n99%\n[studies] exited with 0 after" in browser.get("/studies/small/logs/trial-0").text


def test_a_log_is_sent_again_as_it_grows(storage: Storage, open_house: Dashboard, tmp_path: Path) -> None:
    started(storage)
    path = worker_log(tmp_path, "small", "epoch 1\n")
    with closing(http.client.HTTPConnection("127.0.0.1", open_house.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", f"/studies/small/logs/{LAUNCH}/worker-0/events")
        answer = connection.getresponse()
        seen = [answer.readline() for _ in range(4)]
        with path.open("a") as log:
            log.write("\nepoch 2\n")
        seen += [answer.readline() for _ in range(6)]
    lines = [line.decode().removeprefix("data: ").rstrip("\n") for line in seen]
    assert lines == ["<pre>", "epoch 1", "</pre>", "", "<pre>", "epoch 1", "", "epoch 2", "</pre>", ""]


def test_a_viewer_may_read_logs_and_nobody_else(storage: Storage, tmp_path: Path) -> None:
    started(storage)
    worker_log(tmp_path, "small", "epoch 1\n")
    with served(storage, tmp_path, local=False) as dashboard:
        dashboard.add_user("vera", Role.VIEWER)
        nobody, vera = dashboard.browser(), dashboard.browser()
        vera.log_in("vera")
        for end in ("", "/text", "/events"):
            assert nobody.get(f"/studies/small/logs/{LAUNCH}/worker-0{end}").status == 303
        assert "epoch 1" in vera.get(f"/studies/small/logs/{LAUNCH}/worker-0").text


def test_no_name_leads_to_another_file(storage: Storage, open_house: Dashboard, tmp_path: Path) -> None:
    started(storage)
    worker_log(tmp_path, "small", "epoch 1\n")
    worker_log(tmp_path, "other", "not yours\n")
    (tmp_path / "logs" / "small" / LAUNCH / "settings.sh").write_text("not yours\n")
    browser = open_house.browser()
    for name in (
        f"../other/{LAUNCH}/worker-0", f"..%2fother%2f{LAUNCH}%2fworker-0", f"{LAUNCH}/settings.sh", "trial-0",
        f"{LAUNCH}/../../other/{LAUNCH}/worker-0", "/etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", f"{LAUNCH}/",
    ):  # fmt: skip
        for end in ("", "/text", "/events"):
            answer = browser.get(f"/studies/small/logs/{name}{end}")
            assert answer.status == 404, name
            assert "not yours" not in answer.text


def test_a_worker_is_found_in_the_newest_launch_that_has_its_process(tmp_path: Path) -> None:
    for n in range(N_LAUNCHES + 2):
        launch = tmp_path / "logs" / "small" / f"2026010{n // 10}-00000{n % 10}-7"
        launch.mkdir(parents=True)
        (launch / "worker-0.log").touch()
        note_process(launch / "worker-0.log", "here", n // 2)
    (tmp_path / "logs" / "small" / "trial-3.log").touch()
    (tmp_path / "logs" / "small" / "20260102-000000-7").mkdir()  # its workers have printed nothing yet
    logs = logs_of_workers(tmp_path, "small")
    assert len(logs) == N_LAUNCHES
    assert known_logs(tmp_path, "small") == logs | {"trial-3": tmp_path / "logs" / "small" / "trial-3.log"}
    assert logs_of_processes(logs, {("here", 5), ("here", 4), ("there", 4), ("here", 0)}) == {
        ("here", 5): "20260101-000001-7/worker-0", ("here", 4): "20260100-000009-7/worker-0",
    }  # fmt: skip
    assert [log.parent.name for log in worker_logs(tmp_path, "small")] == ["20260101-000001-7"]
    assert logs_of_workers(tmp_path, "../small") == logs_of_workers(tmp_path, "none") == {}


def test_the_end_of_a_log_is_whole_lines_across_its_two_files(tmp_path: Path) -> None:
    log = tmp_path / "trial-1.log"
    log.with_name("trial-1.log.1").write_text("one\ntwo\n")
    log.write_text("three\nfour\n")
    assert tail(log, 100) == b"one\ntwo\nthree\nfour\n"
    assert tail(log, 14) == b"three\nfour\n"
    assert tail(log, 7) == b"four\n"
    assert tail(tmp_path / "none.log", 7) == b""
    log.write_text("x" * 50)
    assert tail(log, 7) == b"x" * 7


def test_lines_are_shown_as_a_terminal_has_them() -> None:
    assert printed(b"1%\r50%\r100%\r\n\x1b[1;32mdone\x1b[0m\x07\xff\n") == "100%\ndone\\x07\ufffd\n"
