"""docker-compose.yml against the compose specification's schema, as compose reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

FILE = Path(__file__).parents[2] / "docker-compose.yml"


def filled_in(text: str, **variables: str) -> str:
    """Return text with ${NAME}, ${NAME:-default} and ${NAME:?message} replaced as compose does."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == ":-":
            return rest
        raise LookupError(f"{name}: {rest}")

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def read(text: str) -> dict[str, Any]:
    merged: dict[str, Any] = yaml.safe_load(text)
    PyCompose.from_json(json.dumps(merged)).validate()
    return merged


@pytest.fixture
def text() -> str:
    return filled_in(FILE.read_text(), POSTGRES_PASSWORD="secret")


def test_it_follows_the_specification(text: str) -> None:
    assert set(read(text)["services"]) == {"postgres", "dashboard", "launch", "worker", "gpu-worker"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("healthcheck:", "healthchek:"),
        ("condition: service_healthy", "condition: service_happy"),
        ("retries: 30", "retries: often"),
    ],
)
def test_a_mistake_would_be_found(text: str, good: str, bad: str) -> None:
    assert good in text
    with pytest.raises(ValueError, match=r"\w"):
        read(text.replace(good, bad))


def test_the_password_must_be_given() -> None:
    with pytest.raises(LookupError, match="POSTGRES_PASSWORD"):
        filled_in(FILE.read_text())
    assert "secret" not in FILE.read_text()


def test_everything_waits_for_a_healthy_server_and_listens_on_this_machine_alone(text: str) -> None:
    services = read(text)["services"]
    for name in ("dashboard", "launch", "worker", "gpu-worker"):
        assert services[name]["depends_on"]["postgres"]["condition"] == "service_healthy"
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    devices = services["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
    assert "deploy" not in services["worker"]
