"""What this product does on a GPU: its tests there, how fast it trains, a CIFAR-10 model, several workers on one.

    python benchmarks/gpu.py wheels DIRECTORY [--there NAME ...]    here: what a machine without a network lacks
    python benchmarks/gpu.py run OUTPUT [--wheels DIRECTORY]        there: everything, in under nine minutes
    python benchmarks/gpu.py run OUTPUT --device cpu --quick        a try of the instrument, without a GPU

`wheels` needs a network. It downloads the wheels, for Python 3.12 on x86-64 Linux, of all that the package and its
tests need, but not of torch and torchvision, nor of what --there names. `run` installs them into a
directory of its own; it needs Python 3.11 or newer with torch and torchvision, and the working tree. Each part is a
process with a time limit, the most important first; what has been measured is in OUTPUT/gpu.json and OUTPUT/gpu.md
after each, whatever happens to the next. --cifar names CIFAR-10 as cifar10_cnn reads it, by default synthetic pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = {  # seconds, in the order in which they run
    "device": 30,
    "objectives": 120,
    "studies": 150,
    "cifar": 140,
    "workers": 90,
    "speeds": 60,
}
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 24, 17)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux1_x86_64"]
MACHINE = {"extra": "", "python_version": "3.12", "python_full_version": "3.12.0"}
BROUGHT = {"torch", "torchvision"}  # with CUDA, by the machine


def wheels(directory: Path, there: Sequence[str]) -> None:
    """Download the wheels of all that the package and its tests need, in the versions of constraints.txt."""
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split()
    pinned = dict(pin.split("==") for pin in pins)
    wanted = sorted(needed({name.lower() for name in there}))
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", *platforms, "--dest", str(directory)]
    subprocess.run([*command, *(f"{name}=={pinned[name]}" for name in wanted)], check=True)
    size = sum(file.stat().st_size for file in directory.glob("*.whl"))
    print(f"{len(wanted)} wheels, {size / 2**20:.1f} MiB, in {directory}")


def needed(there: set[str]) -> set[str]:
    """Return the names of the packages that are needed, without those that are there and what only these need."""
    from importlib import metadata

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [*project["dependencies"], "pytest", "pytest-xdist", "hypothesis"]
    found: set[str] = set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate(MACHINE)
        if not applies or name in found or name in there or name in BROUGHT:
            continue
        found.add(name)
        with suppress(metadata.PackageNotFoundError):
            todo += metadata.requires(name) or []
    return found


def run(output: Path, given: argparse.Namespace) -> None:
    """Run every part within its time, and write what there is after each."""
    output.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "STUDIES_HOME": tempfile.mkdtemp(prefix="studies-gpu-"), "PYTHONUNBUFFERED": "1"}
    site = [_installed(given.wheels)] if given.wheels else []
    environment["PYTHONPATH"] = os.pathsep.join([*site, str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    deadline = time.monotonic() + given.minutes * 60
    results: dict[str, Any] = {"started": time.strftime("%Y-%m-%d %H:%M:%S"), "parts": {}}
    for part in given.parts:
        limit_s = PARTS[part]
        left_s = deadline - time.monotonic()
        results["parts"][part] = (
            _part(part, min(limit_s, left_s), output, environment, given)
            if left_s > 5
            else {"ended": "there was no time left"}
        )
        (output / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")
        (output / "gpu.md").write_text(as_markdown(results))
        print(f"{part}: {results['parts'][part]['ended']}", flush=True)


def _installed(wheels: Path) -> str:
    site = tempfile.mkdtemp(prefix="studies-site-")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--target", site, *map(str, sorted(wheels.glob("*.whl")))], check=True)
    return site


def _part(part: str, limit_s: float, output: Path, environment: Mapping[str, str], given: argparse.Namespace) -> Any:
    """Run a part as a process group of its own; return its rows, how it ended and how long it took."""
    rows, log = output / f"{part}.jsonl", output / f"{part}.log"
    rows.write_text("")
    command = [sys.executable, __file__, "part", part, str(rows), "--device", given.device, "--cifar", given.cifar]
    command += ["--quick"] if given.quick else []
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
            ended = "done" if code == 0 else f"exited with {code}; see {log.name}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            ended = f"stopped at its limit of {limit_s:.0f} s"
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.unlink()
    return {"ended": ended, "seconds": round(time.monotonic() - began, 1), "rows": lines}


def as_markdown(results: Mapping[str, Any]) -> str:
    """Return the results for a person: a table for each part."""
    parts = results["parts"]
    device = (parts.get("device", {}).get("rows") or [{}])[0]
    text = [f"# On {device.get('name', 'an unknown device')}", ""]
    text.append(f"`python benchmarks/gpu.py run OUTPUT`, {results['started']}.")
    for part, found in parts.items():
        text += ["", f"## {part}", "", f"{found['ended']}, {found.get('seconds', 0)} s", ""]
        rows = found.get("rows") or []
        columns = list(dict.fromkeys(key for row in rows for key in row))
        if columns:
            text += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            text += [f"| {' | '.join(_cell(row.get(key)) for key in columns)} |" for row in rows]
    return "\n".join(text) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "/")


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collect = commands.add_parser("wheels")
    collect.add_argument("directory", type=Path)
    collect.add_argument("--there", nargs="*", default=[], help="packages that the machine has, or can do without")
    for name in ("run", "part"):
        one = commands.add_parser(name)
        if name == "part":
            one.add_argument("part", choices=list(PARTS))
        one.add_argument("output", type=Path)
        one.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
        one.add_argument("--quick", action="store_true")
        one.add_argument("--cifar", default="cifar10-shapes")
        one.add_argument("--wheels", type=Path)
        one.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
        one.add_argument("--minutes", type=float, default=8.5)
    given = parser.parse_args()
    if given.command == "wheels":
        wheels(given.directory, given.there)
    elif given.command == "run":
        run(given.output.absolute(), given)
    else:
        sys.path.insert(0, str(ROOT))
        from benchmarks.gpu_parts import PARTS_BY_NAME

        with given.output.open("a") as file:

            def tell(**row: Any) -> None:
                file.write(json.dumps(row) + "\n")
                file.flush()

            PARTS_BY_NAME[given.part](tell, given.device, given.quick, given.cifar)


if __name__ == "__main__":
    main()
