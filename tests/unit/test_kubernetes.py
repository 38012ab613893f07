"""What is given to Kubernetes, checked against its real schema, and how its answers are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import ValidationError, latest_version, validate
from psycopg2.extensions import parse_dsn

from studies.cli.options import changes
from studies.errors import WrongInput, WrongSpec
from studies.run.launchers import dry_run, make_launcher
from studies.run.launchers.kubernetes import manifest
from studies.run.launchers.kubernetes.cluster import Cluster, Pod, Seen
from studies.settings import Settings
from studies.spec import SpecFile, StudySpec
from studies.spec.model import Resources
from studies.testing.parabola import parabola

URL = "postgresql://ann:s3cret@db.lab.example/studies"
SETTINGS = Settings(URL, Path("/home/ann/studies"), Path("/home/ann/data"))
OLDEST = "1.29"  # of which the schema is checked: podFailurePolicy is on by default since 1.26


def spec(**given: Any) -> StudySpec:
    kubernetes = {"image": "lab/studies:1", **given.pop("kubernetes", {})}
    return parabola("counted", 1, 0.0, resources=given | {"kubernetes": kubernetes})


def job(settings: Settings = SETTINGS, n_workers: int = 4, **given: Any) -> dict[str, Any]:
    return manifest.job("studies-counted-1", "counted@1", spec(**given), settings, n_workers, 120)


def pod(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["spec"]["template"]["spec"]
    return found


EVERYTHING = {
    "namespace": "lab", "secret": "ours", "cpu": 2.5, "memory": "16Gi", "gpu": "amd.com/gpu", "claim": "shared",
    "pod": {"serviceAccountName": "ann", "nodeSelector": {"disk": "fast"}, "tolerations": [{"operator": "Exists"}]},
}  # fmt: skip


@pytest.mark.parametrize("version", [OLDEST, latest_version()])
@pytest.mark.parametrize("given", [{}, {"gpus_per_worker": 0}, {"gpus_per_worker": 2, "kubernetes": EVERYTHING}])
def test_what_is_given_to_kubernetes_is_as_its_schema_says(version: str, given: dict[str, Any]) -> None:
    validate(job(**given), version, strict=True)
    validate(manifest.secret("counted", "1", spec(**given), SETTINGS, {}), version, strict=True)
    with pytest.raises(ValidationError):
        validate(job(kubernetes={"pod": {"nodeSelectors": {}}}), version, strict=True)


def test_a_job_is_a_queue_of_work_that_knows_whose_fault_an_end_is() -> None:
    found = job()["spec"]
    assert (found["parallelism"], found["backoffLimit"], "completions" in found) == (4, 12, False)
    assert [rule["action"] for rule in found["podFailurePolicy"]["rules"]] == ["Ignore", "Ignore", "FailJob"]
    assert found["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert [rule["onExitCodes"]["values"] for rule in found["podFailurePolicy"]["rules"][1:]] == [[130], [2]]
    assert pod(job())["restartPolicy"] == "Never"


def test_a_worker_gets_what_the_study_file_says() -> None:
    content = pod(job(gpus_per_worker=2, kubernetes=EVERYTHING))
    [container] = content["containers"]
    assert container["command"] == ["studies", "worker", "counted@1", "--threads", "2"]
    assert container["resources"] == {
        "requests": {"cpu": "2.5", "memory": "16Gi"}, "limits": {"memory": "16Gi", "amd.com/gpu": "2"},
    }  # fmt: skip
    assert container["envFrom"] == [{"secretRef": {"name": "ours"}}]
    assert content["volumes"][0]["persistentVolumeClaim"] == {"claimName": "shared"}
    assert (content["serviceAccountName"], content["nodeSelector"]) == ("ann", {"disk": "fast"})
    [plain] = pod(job(gpus_per_worker=0, threads_per_worker=3))["containers"]
    assert plain["resources"] == {"requests": {"cpu": "3"}}
    assert plain["command"][-1] == "3"


def test_the_storage_is_in_the_secret_alone(tmp_path: Path) -> None:
    certificate = tmp_path / "root.crt"
    certificate.write_text("a certificate")
    settings = Settings(f"{URL}?sslmode=verify-full&sslrootcert={certificate}", tmp_path, tmp_path)
    assert "s3cret" not in str(job(settings))
    content = manifest.secret("studies-counted-1", "7", spec(), settings, {"PGPASSWORD": "another"})["stringData"]
    assert content["root.crt"] == "a certificate"
    assert content["PGPASSWORD"] == "another"
    assert "password=s3cret" in content["STUDIES_STORAGE"]
    assert "sslrootcert=%2Fetc%2Fstudies%2Froot.crt" in content["STUDIES_STORAGE"]
    certificate.unlink()
    with pytest.raises(WrongInput, match=r"root\.crt in STUDIES_STORAGE cannot be read"):
        manifest.secret("studies-counted-1", "7", spec(), settings, {})


def test_a_password_reaches_the_pods_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "root.crt").write_text("a certificate")
    url = f"postgresql://ann:a%20b%2Bc%26@db/studies?sslrootcert={tmp_path}/root.crt"
    content = manifest.secret("studies-counted-1", "7", spec(), Settings(url, tmp_path, tmp_path), {})["stringData"]
    assert parse_dsn(content["STUDIES_STORAGE"])["password"] == "a b+c&"


def test_artifacts_are_passed_on_where_pods_reach_them() -> None:
    def environment(artifacts: str) -> dict[str, str]:
        settings = Settings(URL, Path("/home/ann"), Path("/home/ann"), artifacts=artifacts)
        return {each["name"]: each["value"] for each in pod(job(settings))["containers"][0]["env"]}

    assert environment("s3://lab/ann")["STUDIES_ARTIFACTS"] == "s3://lab/ann"
    assert "STUDIES_ARTIFACTS" not in environment("/home/ann/artifacts")
    assert environment("")["STUDIES_HOME"] == "/studies"


def test_a_dry_run_prints_yaml_and_needs_neither_kubectl_nor_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    settings = Settings("postgresql://ann:s3cret@127.0.0.1:1/studies", Path("/nowhere"), Path("/nowhere"))
    text = dry_run("kubernetes", spec(kubernetes={"secret": "ours"}), settings, 2, pytest.fail)
    assert "kubectl create secret generic ours --from-file=STUDIES_STORAGE=FILE" in text
    content = yaml.safe_load(text)
    validate(content, latest_version(), strict=True)
    assert pod(content)["containers"][0]["command"][:3] == ["studies", "worker", "counted"]
    assert len(content["metadata"]["name"]) <= 57  # and six characters more have to fit into a host's name
    with pytest.raises(WrongInput, match="--dry-run is for --on kubernetes, and --on is slurm; leave one of them out"):
        dry_run("slurm", spec(), settings, 2, pytest.fail)


def test_a_dry_run_without_a_storage_for_pods_says_so_beside_a_valid_job(tmp_path: Path) -> None:
    said: list[str] = []
    text = dry_run("kubernetes", spec(), Settings(None, tmp_path / "home", tmp_path), 2, said.append)
    assert "# FILE does not exist yet: --on kubernetes starts workers in pods, and the embedded storage can be" in text
    validate(yaml.safe_load(text), latest_version(), strict=True)
    assert "`studies storage serve --host ADDRESS --detach` starts one for all" in said[0]
    assert not (tmp_path / "home").exists()  # no server was started to look


@pytest.mark.parametrize(
    ("storage", "given", "expected"),
    [
        (None, {}, "the embedded storage can be reached from this machine alone; `studies storage serve --host"),
        (None, {"secret": "ours"}, "the embedded storage can be reached from this machine alone"),
        ("postgresql://localhost/studies", {}, "the storage at localhost can be reached from this machine alone"),
    ],
)
def test_what_cannot_run_in_pods_is_refused(storage: str | None, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(WrongInput, match=expected):
        make_launcher("kubernetes", spec(kubernetes=given), Settings(storage, Path("/nowhere"), Path("/nowhere")), 1)


def test_a_job_without_an_image_is_refused() -> None:
    with pytest.raises(WrongInput, match=r"needs a container image .* type --kubernetes image=NAME"):
        dry_run("kubernetes", spec(kubernetes={"image": None}), Settings(URL, Path("/a"), Path("/a")), 1, pytest.fail)


def test_without_kubectl_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrongInput, match="needs the command kubectl, and it is not in PATH; install it"):
        make_launcher("kubernetes", spec(), Settings(URL, tmp_path, tmp_path), 1)


def test_a_log_is_kept_whatever_a_worker_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nprintf 'caf\\351'\n")
    kubectl.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Cluster(None).log("worker") == "caf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("image", "expected KEY=VALUE, such as --kubernetes image=studies:latest"),
        ("imag=a", "unknown key 'imag'; did you mean image?"),
        ("namespace=A_b", "namespace is 'A_b': expected small letters, digits and dashes"),
        ("memory=16", "memory is 16"),
        ("memory=lots", "memory is 'lots': expected an amount of memory such as 16Gi"),
        ("pod={containers: []}", "containers is set by `studies` itself; leave it out"),
    ],
)
def test_what_cannot_be_a_pod_is_refused(option: str, expected: str) -> None:
    with pytest.raises(WrongSpec) as error:
        SpecFile.find("meli-cnn").spec(changes(None, kubernetes=[option]))
    assert str(error.value).startswith(f"--kubernetes {option}: ")
    assert expected in str(error.value)


def test_what_is_stored_without_kubernetes_is_as_it_was() -> None:
    assert "kubernetes" not in Resources().model_dump()
    given = Resources(kubernetes={"image": "a", "pod": {"hostNetwork": True}})
    assert given.model_dump()["kubernetes"] == {"image": "a", "pod": {"hostNetwork": True}}
    assert Resources.model_validate(given.model_dump()) == given


def state(phase: str, container: dict[str, Any] | None = None, *conditions: dict[str, str]) -> Pod:
    statuses = [] if container is None else [{"name": "worker", "state": container}]
    status = {"phase": phase, "containerStatuses": statuses, "conditions": [*conditions]}
    return Pod.read({"kind": "Pod", "metadata": {"name": "one"}, "status": status})


def test_how_a_pod_ended() -> None:
    log = {"exitCode": 1, "reason": "Error", "message": "one\nstudies: Two is not three.\n\n"}
    assert state("Failed", {"terminated": log}) == Pod("one", 1, "Two is not three.")
    assert state("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}}) == Pod("one", 0)
    assert state("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}).out_of_memory
    drained = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}
    assert state("Failed", {"terminated": {"exitCode": 137}}, drained).disrupted == "drained"
    assert state("Failed") == Pod("one", 1, "its pod failed")  # its node was lost before it began


def test_why_a_pod_waits() -> None:
    nowhere = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}
    assert state("Pending", None, nowhere).waits_for == "0/3 nodes are available: 3 Insufficient cpu."
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    assert state("Pending", waiting).waits_for == "ErrImagePull: no such image"
    assert state("Pending", {"waiting": {"reason": "ContainerCreating"}}).waits_for is None


def test_a_job_that_is_over_suspended_or_gone_starts_no_more() -> None:
    def found(status: dict[str, Any], **spec: Any) -> int:
        content = {"kind": "Job", "metadata": {"name": "j"}, "spec": {"parallelism": 3, **spec}, "status": status}
        return Seen.read([content]).parallelism

    assert found({}) == 3
    assert found({"conditions": [{"type": "Suspended", "status": "False"}]}) == 3
    assert found({"conditions": [{"type": "FailureTarget", "status": "True"}]}) == 0  # its pods still end
    assert found({"conditions": [{"type": "Failed", "status": "True"}]}) == 0
    assert found({"conditions": [{"type": "Complete", "status": "True"}]}) == 0
    assert found({}, suspend=True) == 0
    assert Seen.read([]).parallelism == 0
