"""`studies dashboard` and its users, as they are typed."""

from __future__ import annotations

import http.client
import re
import signal
import ssl
import subprocess
from contextlib import ExitStack, closing

from studies.storage.team.certificates import Certificates

from ..dashboards import PASSWORD
from ..waiting import PATIENCE_S
from .conftest import Studies


def typed(studies: Studies, *arguments: str, stdin: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*studies.command, *arguments], cwd=studies.directory, env=studies.environment, input=stdin, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


def test_a_dashboard_that_others_reach_has_users_and_tls(studies: Studies) -> None:
    others = ("dashboard", "--host", "0.0.0.0", "--port", "0")
    refused = studies(*others, expect=2).stderr
    assert "`studies dashboard user add NAME --role editor` adds one" in refused
    add = ("dashboard", "user", "add", "vera", "--role")
    assert "The password has 5 characters; expected 10 to 200" in typed(studies, *add, "viewer", stdin="short\n").stderr
    assert "--role is 'admin'; expected viewer or editor" in typed(studies, *add, "admin", stdin="").stderr
    done = typed(studies, *add, "viewer", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    token = studies("dashboard", "user", "token", "vera", "--label", "grafana").stdout.strip()
    assert studies("dashboard", "user", "list").stdout.splitlines()[1].split() == ["vera", "viewer", "grafana"]
    for proxy in ("nginx", "*", "10.0.0.1:80"):
        said = studies.told(*others, "--proxy", proxy, expect=2).stderr
        assert f"--proxy is '{proxy}'; expected the address of a proxy" in said
    assert "--tls-cert FILE --tls-key FILE" in studies(*others, "--tls-cert", "no.crt", expect=2).stderr

    certificates = Certificates(studies.directory)
    certificates.ensure(["127.0.0.1"])
    tls = ("--tls-cert", str(certificates.server), "--tls-key", str(certificates.server))
    dashboard = studies.start(*others, *tls)
    assert dashboard.stderr is not None
    found = re.search(r"https://0\.0\.0\.0:(\d+)/", dashboard.stderr.readline())
    assert found
    trusting = ssl.create_default_context(cafile=str(certificates.root))

    def ask(path: str, **headers: str) -> http.client.HTTPResponse:
        with closing(
            http.client.HTTPSConnection("127.0.0.1", int(found[1]), context=trusting, timeout=PATIENCE_S)
        ) as asking:
            asking.request("GET", path, headers=headers)
            answer = asking.getresponse()
            answer.read()
            return answer

    form = ask("/login")
    assert form.status == 200
    assert re.match(r"__Host-studies=\S+; HttpOnly; .*Secure", form.headers["set-cookie"])
    assert form.headers["strict-transport-security"]
    assert ask("/metrics", Authorization=f"Bearer {token}").status == 200
    studies("dashboard", "user", "remove", "vera")
    assert ask("/metrics", Authorization=f"Bearer {token}").status == 401
    kept = studies.told("dashboard", "user", "audit").stdout.splitlines()
    done = [line.partition("command line  ")[2] for line in kept if "command line" in line]
    assert done == ["made vera a viewer", "made a token of vera's: grafana", "removed vera"]

    dashboard.send_signal(signal.SIGINT)
    _, said = dashboard.communicate(timeout=PATIENCE_S)
    assert dashboard.returncode == 0
    assert "Traceback" not in said


def test_it_leaves_at_the_first_ctrl_c_while_pages_are_followed(studies: Studies) -> None:
    dashboard = studies.start("dashboard", "--port", "0")
    assert dashboard.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", dashboard.stderr.readline())
    assert found
    with ExitStack() as followed:
        for _ in range(10):
            connection = followed.enter_context(closing(http.client.HTTPConnection("127.0.0.1", int(found[1]))))
            connection.request("GET", "/events")
            stream = followed.enter_context(connection.getresponse())
            assert stream.readline().startswith(b"data:")
        dashboard.send_signal(signal.SIGINT)
        _, said = dashboard.communicate(timeout=PATIENCE_S)
    assert (dashboard.returncode, said) == (0, "")


def test_what_is_asked_of_a_study_is_a_command(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "2")
    assert "open for 3 trials" in studies.told("resume", "parabola", "--trials", "3").stderr
    assert "Trial 2 of parabola is queued" in studies.told("queue", "parabola", "x=1.5").stderr
    full = studies.told("queue", "parabola", "x=2.5", expect=2).stderr  # it would wait for ever
    assert "has all its 3 trials, 1 of which runs or waits; `studies resume parabola --trials 4` makes room" in full
    studies("worker", "parabola")
    assert "has all its 3 trials" in studies.told("queue", "parabola", "x=1.5", expect=2).stderr
    assert "cannot be tried again: it is complete" in studies.told("retry", "parabola", "2", expect=2).stderr
    assert "--yes deletes without a question" in studies.told("delete", "parabola", expect=2).stderr
    assert "Deleted: parabola with 3 trials." in studies.told("delete", "parabola", "--yes").stderr
    assert not list((studies.directory / "home" / "checkpoints").rglob("*.safetensors"))
