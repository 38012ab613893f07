"""Can a machine run workers: what was found there, and a sentence for each thing that is missing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from studies.words import be, data_size, plural

FREE_BYTES, FREE_TO_INSTALL_BYTES = 500 * 10**6, 10 * 10**9  # torch with CUDA is large
MAX_CLOCK_OFFSET_S = 60.0


def missing(found: Mapping[str, Any], python: str | None) -> list[str]:
    """Return what a machine lacks. found: what `remote.look` returned. python: the one that was named."""
    lacks = []
    if found["not_writable"]:
        lacks.append(f"~/.cache/studies cannot be written ({found['not_writable']})")
    elif found["free_bytes"] < (needed := FREE_BYTES if python or found["installed"] else FREE_TO_INSTALL_BYTES):
        free = data_size(found["free_bytes"])
        line = f"{free} of disk are free for ~/.cache/studies; it needs {data_size(needed)}"
        if n := found["n_environments"]:
            line += f"; {plural(n, 'environment')} {be(n)} there, and it may be deleted while no study runs there"
        lacks.append(line)
    if python and found["missing"]:
        lacks.append(f"{python} has no {', '.join(found['missing'])}; install them there, or leave out --python")
    if not python and not found["venv"] and not found["installed"]:
        lacks.append(
            "its Python cannot make environments; install python3-venv, or name an environment with torch: "
            "--python PATH"
        )
    return lacks


def described(found: Mapping[str, Any]) -> str:
    """Return what a machine has, as a line."""
    gpus = ", ".join(f"{n} x {name}" for name, n in Counter(found["gpus"]).items()) or "no GPU"
    line = f"Python {found['python']}, {gpus}, {data_size(found['free_bytes'])} free"
    ahead_s = found["time"] - time.time()
    if abs(ahead_s) > MAX_CLOCK_OFFSET_S:
        line += (
            f"; its clock is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}, and so is what its logs say"
        )
    return line


def table(rows: Mapping[str, list[str]]) -> list[str]:
    """Return a line for each sentence, beside its machine's name."""
    width = max(map(len, rows))
    return [f"{host:<{width}}  {sentence}" for host, found in rows.items() for sentence in found]
