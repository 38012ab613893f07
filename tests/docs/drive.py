"""Runs the blocks of one page, which come as JSON on stdin: Python in one namespace, the shell with one environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

STATE = Path(".exported")  # what earlier commands exported


def main() -> None:
    """Run every block; end with the first that does not do what its page says."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for step in json.load(sys.stdin):
        print(f"--- line {step['line']}", flush=True)
        if step["title"]:
            # A file of the package is saved as a user's own, under the last part of its path.
            Path(Path(step["title"]).name).write_text(step["text"], encoding="utf-8")
        elif step["language"] == "python":
            exec(compile(step["text"], f"line {step['line']}", "exec"), namespace)
        elif step["language"] == "console":
            shell(step["commands"], step["exit_code"])


def shell(commands: str, expected: int) -> None:
    """Run commands; each must succeed, but for the last where the page shows an error."""
    STATE.touch()
    script = f"set -euo pipefail\nsource {STATE}\ntrap 'export -p > {STATE}' EXIT\n{commands}\n"
    code = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL).returncode
    if code != expected:
        sys.exit(f"exit code {code}, expected {expected}:\n{commands}")


if __name__ == "__main__":
    main()
