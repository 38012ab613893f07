"""Every call of Ray's that a launch needs. Ray is imported here and in an actor, and nowhere else."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from studies.errors import WrongInput
from studies.run.launchers.ray.slot import Given, Look, Slot
from studies.words import one_line

ANSWER_S = 5.0  # for actors to answer
START = "`ray start --head` starts one here, and --on ray:HOST:6379 or RAY_ADDRESS names another"


@dataclass(frozen=True)
class Gone:
    """An actor that has ended by itself, and why."""

    why: str


class Place:
    """A place for one worker: an actor that Ray has placed, or will."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._asked: Any = None  # the look that has not been answered
        self._is_there = False

    def ask(self) -> Any:
        """Return what `look` waits for: asked once, however long the actor has to wait for its place."""
        self._asked = self._asked if self._asked is not None else self._actor.look.remote()
        return self._asked

    def answered(self) -> None:
        """The look was answered."""
        self._asked, self._is_there = None, True

    def tell(self, what: str) -> None:
        """Call a method of the actor's, and do not wait."""
        getattr(self._actor, what).remote()

    def close(self) -> None:
        """End the actor, where it is or before it is anywhere."""
        import ray

        if self._is_there:
            with suppress(ray.exceptions.RayError):
                ray.get(self._actor.close.remote(), timeout=ANSWER_S)
        ray.kill(self._actor)


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()


class Cluster:
    """A cluster that runs already. address: none takes RAY_ADDRESS, or the one of this machine."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise WrongInput(
                reason="--on ray needs the package ray, and it is not installed here; type: pip install 'studies[ray]'"
            ) from None
        self._ray: Any = ray
        try:
            _knock(address or os.environ.get("RAY_ADDRESS", ""))
            ray.init(
                address=address or "auto",
                ignore_reinit_error=True,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise WrongInput(
                reason=f"No Ray cluster answers{f' at {address}' if address else ''} ({one_line(str(error))}); {START}."
            ) from None

        self._own: str = ray.get_runtime_context().get_node_id()

    def is_cut_off(self) -> bool:
        """Whether the node is gone through which this process belongs to the cluster: Ray ends what it started."""
        return self._own not in self.nodes()

    def close(self) -> None:
        """Leave the cluster; what was started there ends."""
        self._ray.shutdown()

    def place(self, given: Given, n_cpus: int, n_gpus: float) -> Place:
        """Start an actor with a worker wherever there is room, on as many nodes as there are."""
        actor = self._ray.remote(Slot).options(
            num_cpus=n_cpus, num_gpus=n_gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        return Place(actor.remote(given))

    def look(self, places: Sequence[Place]) -> dict[Place, Look | Gone]:
        """Return how the workers are; those whose actors have no place yet, or do not answer in time, are missing."""
        asked = {place.ask(): place for place in places}
        ready, _ = self._ray.wait([*asked], num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
        answers = {asked[one]: self._answer(asked[one], one) for one in ready}
        return {place: answer for place, answer in answers.items() if answer is not None}

    def _answer(self, place: Place, asked: Any) -> Look | Gone | None:
        """Return what an actor answered; None where Ray does not know yet whether it is gone."""
        place.answered()
        try:
            found: Look = self._ray.get(asked)
        except self._ray.exceptions.ActorUnavailableError:
            return None
        except self._ray.exceptions.RayError as error:
            return Gone(_why(error))
        return found

    def nodes(self) -> dict[str, str]:
        """Return the nodes that are there: Ray's id -> host."""
        return {node["NodeID"]: node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}

    def draining(self) -> set[str]:
        """Return the ids of nodes that are about to go."""
        with suppress(ImportError, AttributeError):  # there is no public way; without, such a node is a lost one later
            from ray._private.state import state

            return set(state.get_draining_nodes())
        return set()

    def elsewhere(self) -> str | None:
        """Return the host of a node that is not this machine, if there is one."""
        here = {socket.gethostname(), socket.getfqdn()}
        return next((host for host in sorted(self.nodes().values()) if host not in here), None)

    def has_gpus(self) -> bool:
        """Whether any node has a GPU."""
        return bool(self._ray.cluster_resources().get("GPU"))


def _why(error: Exception) -> str:
    """Return the last line of what Ray says: the first ones are a traceback, or say that an actor died."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
