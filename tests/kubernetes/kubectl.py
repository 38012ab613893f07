"""A stand-in for kubectl: what a launch types, no more. What it creates is checked against the real API's schema."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from pathlib import Path

from .objects import Object, Objects

SCRIPT = """\
#!{python}
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.kubernetes.kubectl import main
main(Path({directory!r}))
"""


def install(directory: Path, objects: Objects) -> None:
    """Write the command `kubectl` into a directory, which belongs into PATH."""
    root = Path(__file__).resolve().parents[2]
    script = directory / "kubectl"
    script.write_text(SCRIPT.format(python=sys.executable, root=str(root), directory=str(objects.directory)))
    script.chmod(0o755)


def main(directory: Path) -> None:
    given = parsed()
    objects = Objects(directory)
    if given.namespace != "default":
        sys.exit(f'Error from server (NotFound): namespaces "{given.namespace}" not found')
    with objects.alone():
        print(globals()[given.command](objects, given), end="")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--namespace", default="default")
    commands = parser.add_subparsers(dest="command", required=True)
    create, get, patch, delete, logs = map(commands.add_parser, ("create", "get", "patch", "delete", "logs"))
    create.add_argument("--filename", choices=["-"], required=True)
    create.add_argument("--output", choices=["json"], required=True)
    get.add_argument("kinds", choices=["jobs,pods"])
    get.add_argument("--selector", required=True)
    get.add_argument("--output", choices=["json"], required=True)
    patch.add_argument("kind", choices=["job"])
    patch.add_argument("name")
    patch.add_argument("--patch", type=json.loads, required=True)
    delete.add_argument("kind", choices=["job", "pods"])
    delete.add_argument("name", nargs="?")
    delete.add_argument("--selector")
    delete.add_argument("--grace-period", type=int)
    delete.add_argument("--ignore-not-found", action="store_true")
    delete.add_argument("--wait", choices=["false"], required=True)
    logs.add_argument("pod")
    logs.add_argument("--container", choices=["worker"], required=True)
    return parser.parse_args()


def create(objects: Objects, given: argparse.Namespace) -> str:
    import yaml
    from kubernetes_validate import ValidationError, latest_version, validate

    content: Object = yaml.safe_load(sys.stdin)
    kind, name = content["kind"], content["metadata"]["name"]
    try:
        validate(content, latest_version(), strict=True)
    except ValidationError as error:
        sys.exit(f'error: error validating "STDIN": {error}')
    if objects.get(kind, name) is not None:
        sys.exit(f'Error from server (AlreadyExists): {kind} "{name}" already exists')
    content["metadata"]["uid"] = str(uuid.uuid4())
    objects.put(content)
    return json.dumps(content)


def get(objects: Objects, given: argparse.Namespace) -> str:
    items = [each for kind in ("Job", "Pod") for each in objects.all(kind, **selected(given))]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def patch(objects: Objects, given: argparse.Namespace) -> str:
    job = existing(objects, "Job", given.name)
    job["spec"] |= given.patch["spec"]
    objects.put(job)
    return f"job.batch/{given.name} patched\n"


def delete(objects: Objects, given: argparse.Namespace) -> str:
    """Mark what is to be deleted, as the API does; others end and remove it."""
    if given.kind == "job":
        if given.ignore_not_found and objects.get("Job", given.name) is None:
            return ""
        found = [existing(objects, "Job", given.name)]
    else:
        found = objects.all("Pod", **selected(given))
    for each in found:
        each["metadata"]["deletionTimestamp"] = "now"
        if given.grace_period is not None:
            each["metadata"]["deletionGracePeriodSeconds"] = given.grace_period
        objects.put(each)
    return ""


def logs(objects: Objects, given: argparse.Namespace) -> str:
    existing(objects, "Pod", given.pod)
    log = objects.log(given.pod)
    return log.read_text() if log.exists() else ""


def selected(given: argparse.Namespace) -> dict[str, str]:
    key, _, value = given.selector.partition("=")
    return {key: value}


def existing(objects: Objects, kind: str, name: str) -> Object:
    found = objects.get(kind, name)
    if found is None:
        sys.exit(f'Error from server (NotFound): {kind.lower()}s "{name}" not found')
    return found
