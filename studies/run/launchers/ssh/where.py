"""Which machines, and how many workers on each: what follows `--on ssh:`."""

from __future__ import annotations

from dataclasses import dataclass

from studies.errors import WrongInput
from studies.run.launchers import MOST_WORKERS

EXAMPLE = "--on ssh:gpu1,gpu2:4"


@dataclass(frozen=True)
class Place:
    """A machine, as `ssh HOST` names it, and how many workers it takes."""

    host: str
    n_workers: int


def places(where: str, n_workers: int) -> list[Place]:
    """Return the machines of `HOST[:N],HOST[:N]`. n_workers: on one without a number. Raises WrongInput."""
    found = [_place(part.strip(), where, n_workers) for part in where.split(",")]
    hosts = [place.host for place in found]
    twice = next((host for host in hosts if hosts.count(host) > 1), None)
    if twice is not None:
        raise WrongInput(reason=f"--on ssh:{where} names {twice} twice; give it one number, such as {twice}:2.")
    return found


def _place(part: str, where: str, n_workers: int) -> Place:
    host, colon, number = part.partition(":")
    if not host or host.startswith("-") or any(letter.isspace() for letter in host):
        raise WrongInput(reason=f"--on is 'ssh:{where}'; expected machines as `ssh` names them, such as {EXAMPLE}.")
    if colon and not (number.isdecimal() and 1 <= int(number) <= MOST_WORKERS):
        raise WrongInput(
            reason=f"--on ssh:{where} wants {number!r} workers on {host}; expected 1 to {MOST_WORKERS}, such as "
            f"{EXAMPLE}; another port of its sshd belongs in ~/.ssh/config."
        )
    return Place(host, int(number) if colon else n_workers)
