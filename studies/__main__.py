"""`python -m studies` is `studies`."""

from __future__ import annotations

import sys

from studies.errors import CommandInterrupted


def main() -> None:
    """Run what was typed. Ctrl-C while everything is being imported, which takes a moment, ends it the same way."""
    try:
        from studies.cli import main as run
    except KeyboardInterrupt:
        print(f"studies: {CommandInterrupted()}", file=sys.stderr)
        raise SystemExit(CommandInterrupted.exit_code) from None
    run()


if __name__ == "__main__":
    main()
