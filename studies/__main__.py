"""`python -m studies` is `studies`."""

from __future__ import annotations

from studies.errors import INTERRUPTED


def main() -> None:
    """Run what was typed. Ctrl-C while everything is being imported, which takes a moment, ends it quietly, too."""
    try:
        from studies.cli import main as run
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    run()


if __name__ == "__main__":
    main()
