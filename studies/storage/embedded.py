"""The embedded PostgreSQL server: started by its first user, stopped by its last."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from studies.settings import Settings
from studies.storage.cluster import Cluster
from studies.storage.users import Users

HOME = "postgres"  # below the home of all


class EmbeddedServer(Cluster):
    """This home's server, as one of its users.

    Use as a context manager, or call `join` and `leave`. `url` is valid in between.
    """

    def __init__(self, settings: Settings, home: Path | None = None) -> None:
        super().__init__(home or settings.directory(HOME))
        self._users = Users(self.home)

    def join(self) -> None:
        """Become a user of the server, starting it when nobody else has."""
        if self._users.has_this:
            return
        with self._users.alone():
            is_first = not self.in_use()
            self._users.add_this()
            try:
                if not self.answers():
                    self._start()
            except BaseException:
                self._users.remove_this()
                if is_first and self._started:  # it runs and lets nobody in: nobody else would ever stop it
                    self._stop()
                raise

    def revive(self) -> None:
        """Start the server again when it was killed while this process uses it."""
        if self._users.has_this and not self.answers():
            with self._users.alone():
                if not self.answers():
                    self._start()

    def leave(self) -> None:
        """Stop being a user; the last one stops the server, unless it was asked to stay (`keep`)."""
        if not self._users.has_this:
            return
        with self._users.alone():
            self._users.remove_this()
            if not self._kept.exists() and not self.in_use():
                self._stop()

    def __enter__(self) -> EmbeddedServer:
        self.join()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def keep(self) -> None:
        """Start the server and let it run without users, until `down`."""
        with self:
            self._kept.touch()

    def down(self) -> bool:
        """Stop the server, or return False and leave it running while somebody uses it."""
        with self._users.alone():
            self._kept.unlink(missing_ok=True)
            if self.in_use():
                return False
            self._stop()
        return True

    def in_use(self) -> bool:
        """Whether any process, this one included, is a user of the server."""
        return self._users.has_any

    @property
    def _kept(self) -> Path:
        return self.home / "keep"
