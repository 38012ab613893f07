"""What `make study` finds, from scratch, under several seeds of the study, and what `studies confirm` says of it.

    python benchmarks/shipped_study.py --seeds 7 1 2

Each study has a home of its own, with data prepared anew, and two workers; the best setting and the published one are
then repeated under fresh seeds. Writes results/shipped-study.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.settings import Settings
from studies.storage import open_storage

RESULTS = Path(__file__).parent / "results" / "shipped-study.md"
STUDY = "products-cnn"
HEAD = f"""# The study that `make study` runs

`{STUDY}` from scratch, two workers; then `studies confirm {STUDY} --top 1 --seeds {{n_seeds}}`: the best setting and
the published one under fresh seeds. Command: `python benchmarks/shipped_study.py --seeds {{seeds}}`

| study's seed | seconds | trials | published, mean (sd) | found, mean (sd) | difference (95 %) | published is |
|---|---|---|---|---|---|---|"""


def main() -> None:
    """Run the studies one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 1, 2], help="of the study (default: 7 1 2)")
    parser.add_argument("--confirm-seeds", type=int, default=3, help="fresh seeds of each contender (default: 3)")
    given = parser.parse_args()
    lines = [HEAD.format(n_seeds=given.confirm_seeds, seeds=" ".join(map(str, given.seeds)))]
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as home:
            lines.append(row(seed, given.confirm_seeds, Path(home)))
            print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(seed: int, n_confirm: int, home: Path) -> str:
    """Run a study and its confirmation; return a line of the table."""
    began = time.monotonic()
    run(home, "launch", STUDY, "--workers", "2", "--set", f"sampler.seed={seed}")
    seconds = time.monotonic() - began
    run(home, "confirm", STUDY, "--workers", "2", "--top", "1", "--seeds", str(n_confirm))
    settings = replace(Settings.from_environment({}), home=home, data=home / "data")
    with open_storage(settings) as storage:
        record = read_stored(storage, STUDY)
    run(home, "storage", "down")
    return f"| {seed} | {seconds:.0f} | {sum(record.counts.values())} | {verdict(record)} |"


def verdict(record: StudyRecord) -> str:
    """Return what the confirmation says of the published setting, and of the one that was found."""
    found = record.confirmation
    assert found is not None
    theirs = next(one for one in found.standings if one.given)
    ours = next((one for one in found.standings if not one.given), theirs)
    apart = theirs.difference or ours.difference
    difference = "-" if apart is None else f"{apart.mean:+.4f} ({apart.low:+.4f} to {apart.high:+.4f})"
    return f"{theirs.mean:.4f} ({theirs.sd:.4f}) | {ours.mean:.4f} ({ours.sd:.4f}) | {difference} | {theirs.verdict}"


def run(home: Path, *arguments: str) -> None:
    """Run `studies` in a home and a directory of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STUDIES_")}
    command = [sys.executable, "-m", "studies", *arguments]
    subprocess.run(command, cwd=home, env=kept | {"STUDIES_HOME": str(home)}, check=True)


if __name__ == "__main__":
    main()
