"""What `studies init` writes: a working objective to start from, its study file, and data for it.

Each template beside this file is written under the study's name in place of its own; in its text, STUDY stands for that
name and MODULE for the Python module's. The Python templates work as they are, and are tested as they are written.
`script` is for a training script that is there already, `sweep` for a sweep of W&B.
"""

from __future__ import annotations

import keyword
import random
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from studies.errors import WrongInput
from studies.files import write_whole
from studies.names import confirmed
from studies.spec import catalog
from studies.spec.model import MAX_NAME
from studies.words import plain_name

HERE = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
OURS = {"studies", "objectives"}  # packages, which a module of this name beside them would hide
N_ROWS = 600
FRUIT = {  # kind: mean and standard deviation of diameter and length in cm, and of weight in g; all made up
    "apple": ((7.6, 0.7), (7.2, 0.7), (170, 30)),
    "lemon": ((5.8, 0.6), (7.9, 0.8), (110, 20)),
    "pear": ((6.9, 0.6), (9.3, 1.0), (175, 30)),
}


def write(name: str, directory: Path, *, with_class: bool) -> list[Path]:
    """Write a study named `name` into a directory, and return its files: the module, the study file, and any data.

    with_class: an objective with data, epochs and a model, in place of a plain function.
    Raises WrongInput for a name that cannot be used, and where one of the files is there already.
    """
    study, module = name.replace("_", "-"), name.replace("-", "_")
    _check(name, study, module)
    kind = "objective" if with_class else "function"
    texts = {f"{module}.py": HERE / f"{kind}.py", f"{study}.yaml": HERE / f"{kind}.yaml"}
    files = {file: template.read_text(encoding="utf-8") for file, template in texts.items()}
    files = {file: text.replace("STUDY", study).replace("MODULE", module) for file, text in files.items()}
    if with_class:
        files[f"{study}.csv"] = "".join(f"{row}\n" for row in _fruit())
    for file in files:
        if (directory / file).exists() or (directory / file).is_symlink():
            raise WrongInput(reason=f"{file} is there already, so nothing was written; choose another name.")
    paths = [directory / file for file in files]
    try:
        for path, text in zip(paths, files.values(), strict=True):
            _write(path, text)
    except BaseException:
        for path in paths:
            with suppress(OSError):  # a read-only directory refuses this, too
                path.unlink()
        raise
    return paths


def write_for_script(given: str, directory: Path) -> Path:
    """Write the study file of a training script, a command or a W&B sweep into a directory, and return it.

    Raises WrongInput where the script tells nothing of its options, and where the file is there already.
    """
    from studies.templates import script, sweep

    name, text = sweep.study_file(given) if sweep.is_sweep(given) else script.study_file(given)
    path = directory / f"{name}.yaml"
    if path.exists() or path.is_symlink():
        raise WrongInput(reason=f"{path} is there already, so nothing was written; rename it, then type the same.")
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise WrongInput(
            reason=f"Cannot write {path} ({error.strerror}), so nothing was written; change to another directory."
        ) from None


def _check(name: str, study: str, module: str) -> None:
    """Refuse a name that a study, a Python module or `import` cannot have."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        example = plain_name(name).lstrip("-0123456789")[:MAX_NAME] or "my-study"
        raise WrongInput(
            reason=f"The name is {name!r}; expected at most {MAX_NAME} small letters, digits and dashes, with a "
            f"letter first, such as `studies init {example}`."
        )
    if (other := confirmed(study)) is not None:
        made = f"is what `studies confirm {other}` makes"
        raise WrongInput(reason=f"{study!r} {made}; choose another name, such as `studies init {other}`.")
    if study in catalog():
        raise WrongInput(reason=f"{study!r} is a study that ships with `studies`; choose another name.")
    elsewhere = [entry for entry in sys.path if entry not in ("", str(Path.cwd()))]
    is_taken = module in sys.builtin_module_names or PathFinder.find_spec(module, elsewhere) is not None
    if keyword.iskeyword(module) or is_taken or module in OURS:
        raise WrongInput(
            reason=f"{module!r} is a name of Python or of an installed package; choose another, such as "
            f"`studies init my-{study}`."
        )


def _fruit() -> Iterator[str]:
    """Yield the lines of a CSV file: a header, and measurements of made-up fruit with their kind."""
    draw = random.Random(0)  # noqa: S311 - no secret
    yield "diameter_cm,length_cm,weight_g,kind"
    for _ in range(N_ROWS):
        kind = draw.choice(list(FRUIT))
        diameter, length, weight = (draw.gauss(mean, deviation) for mean, deviation in FRUIT[kind])
        yield f"{diameter:.2f},{length:.2f},{weight:.1f},{kind}"
