"""Every call of Ray's that a launch needs. Ray is imported here and in an actor, and nowhere else.

It runs in a process of its own; see `driver`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from studies.errors import WrongInput
from studies.run.launchers.ray.slot import Do, Given, Look, Slot
from studies.words import last_line, one_line

ANSWER_S = 5.0  # for actors to answer
NAMESPACE = "studies"  # of the actors' names
START = "`ray start --head` starts one here, and --on ray:HOST:6379 or RAY_ADDRESS names another"


@dataclass(frozen=True)
class Work:
    """What every actor of a launch is, and the place that each needs."""

    given: Given = field(repr=False)
    n_cpus: int
    n_gpus: float


@dataclass(frozen=True)
class Order:
    """What the launcher wants of an actor. n_read: see `Slot.look`. is_placed: it was somewhere already."""

    do: Do
    n_read: int
    is_placed: bool


@dataclass(frozen=True)
class Gone:
    """An actor that has ended by itself, and why."""

    why: str


@dataclass(frozen=True)
class Facts:
    """What a launch asks of a cluster at first. elsewhere: a host that is not this machine, if a node is there."""

    elsewhere: str | None
    has_gpus: bool


@dataclass(frozen=True)
class Seen:
    """How everything is. found: of the actors, those that have a place and answered in time. nodes: Ray's id -> host.

    draining: the ids of nodes that are about to go.
    """

    found: Mapping[str, Look | Gone]
    nodes: Mapping[str, str]
    draining: frozenset[str]


class CutOff(Exception):
    """The cluster cannot be reached any more. The text is a sentence's part."""


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()


class Cluster:
    """A cluster that runs already. address: none takes RAY_ADDRESS, or the one of this machine."""

    def __init__(self, address: str) -> None:
        import ray

        self._ray: Any = ray
        self._actors: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}  # looks that have not been answered
        self._placed: set[str] = set()
        self.work: Work | None = None
        try:
            _knock(address or os.environ.get("RAY_ADDRESS", ""))
            ray.init(
                address=address or "auto",
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise WrongInput(
                reason=f"No Ray cluster answers{f' at {address}' if address else ''} ({one_line(str(error))}); {START}."
            ) from None
        self._own: str = ray.get_runtime_context().get_node_id()

    def facts(self) -> Facts:
        """Return what there is."""
        here = {socket.gethostname(), socket.getfqdn()}
        elsewhere = next((host for host in sorted(self._nodes().values()) if host not in here), None)
        return Facts(elsewhere, bool(self._ray.cluster_resources().get("GPU")))

    def look(self, orders: Mapping[str, Order]) -> Seen:
        """Tell actors what is wanted of them, make those that were nowhere yet, and return how all are. Raises CutOff.

        An actor is made once: one with the same name, from before a cut, is taken.
        """
        if self._own not in self._nodes():  # Ray ends what this process would start
            raise CutOff("the node is gone through which this launch belonged to it")
        found: dict[str, Look | Gone] = {}
        for name, order in orders.items():
            try:
                self._tell(name, order)
            except (self._ray.exceptions.RayError, ValueError):
                found[name] = Gone("Ray knows nothing of it any more")
        found |= self._answers()
        return Seen(found, self._nodes(), self._draining())  # Ray says that a node is gone before that its actors are

    def _tell(self, name: str, order: Order) -> None:
        """Raise ValueError where an actor is gone that was somewhere."""
        if order.do is not Do.RUN and not order.is_placed:  # it waits for a place, and nobody for it
            self._asked.pop(name, None)
            with suppress(ValueError):
                self._ray.kill(self._actors.pop(name, None) or self._ray.get_actor(name))
            return
        if order.is_placed:
            self._placed.add(name)
        if name not in self._actors:
            self._actors[name] = self._ray.get_actor(name) if order.is_placed else self._made(name)
        if order.do is Do.CLOSE:
            self._actors.pop(name).look.remote(order.n_read, order.do)
        elif name not in self._asked:
            self._asked[name] = self._actors[name].look.remote(order.n_read, order.do)

    def _made(self, name: str) -> Any:
        """Start an actor with a worker wherever there is room, on as many nodes as there are; it outlives a cut."""
        assert self.work is not None
        actor = self._ray.remote(Slot).options(
            name=name,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=self.work.n_cpus,
            num_gpus=self.work.n_gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        return actor.remote(self.work.given)

    def _answers(self) -> dict[str, Look | Gone]:
        """Return what actors answer; those that have no place yet, or do not answer in time, are missing."""
        asked = {ref: name for name, ref in self._asked.items()}
        ready, _ = self._ray.wait([*asked], num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
        answers = {asked[ref]: self._answer(ref) for ref in ready}
        for name in answers:
            del self._asked[name]
        self._placed |= {name for name, answer in answers.items() if isinstance(answer, Look)}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def _answer(self, ref: Any) -> Look | Gone | None:
        """Return what an actor answered; None where Ray does not know yet whether it is gone."""
        try:
            found: Look = self._ray.get(ref)
        except self._ray.exceptions.ActorUnavailableError:
            return None
        except self._ray.exceptions.RayError as error:
            return Gone(last_line(str(error)) or type(error).__name__)  # first comes a traceback, or that an actor died
        return found

    def leave(self) -> None:
        """Let all workers finish their epochs and leave: nobody looks at them any more."""
        for name in self._actors.keys() - self._placed:  # it would begin once there is a place
            self._ray.kill(self._actors[name])
        told = [self._actors[name].leave.remote() for name in self._actors.keys() & self._placed]
        if told:
            self._ray.wait(told, num_returns=len(told), timeout=ANSWER_S)
        self._ray.shutdown()

    def _nodes(self) -> dict[str, str]:
        """Return the nodes that are there: Ray's id -> host."""
        return {node["NodeID"]: node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}

    def _draining(self) -> frozenset[str]:
        with suppress(ImportError, AttributeError):  # there is no public way; without, such a node is a lost one later
            from ray._private.state import state

            return frozenset(state.get_draining_nodes())
        return frozenset()
