"""What a study is does not change in silence: its space, its code and its data are those that it was created with."""

from __future__ import annotations

import json

import yaml

from .conftest import USERS_MODULE, Studies

READER = '''
from mine import Parabola

class Reader(Parabola):
    """Its data set is a file, and what prepare returns is a plain dict."""
    def prepare(self, dataset, data, cache, progress):
        return {"rows": open(dataset).read().splitlines(), "summary": {"rows": 2}}
'''


def edit(studies: Studies, old: str, new: str) -> None:
    text = USERS_MODULE.replace(old, new)
    assert text != USERS_MODULE
    (studies.directory / "mine.py").write_text(text)


def test_code_that_changed_is_asked_about(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "1")
    edit(studies, "import time\n", "import time  # a comment changes nothing\n\n\n")
    studies("launch", "./parabola.yaml", "--trials", "2")
    edit(studies, "- 2) ** 2", "- 3) ** 2")
    said = studies("launch", "./parabola.yaml", "--trials", "3", expect=2).stderr
    assert "The code of study 'parabola' has changed since its last launch (code: mine.py): add --same-code" in said
    assert "or --new-version to begin parabola@2" in said
    assert "other code than study 'parabola'" in studies("worker", "parabola", expect=2).stderr
    assert "studies launch parabola --same-code" in studies("confirm", "parabola", expect=2).stderr
    studies("launch", "./parabola.yaml", "--trials", "3", "--same-code")
    studies("launch", "./parabola.yaml", "--trials", "4")  # once is enough
    assert studies.told("export", "parabola", "--format", "csv").stdout.count("\n") == 5


def test_a_space_that_changed_begins_a_new_version(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "1", "--set", "space={seconds: 0.0}")
    edit(studies, '["fine", "nan", "raises"]', '["fine", "nan", "raises", "new"]')
    words = ["launch", "./parabola.yaml", "--trials", "2", "--set", "space={seconds: 0.0}"]
    said = studies(*words, "--same-code", expect=2).stderr
    assert 'another space (space: mood was {"choices": ["fine", "nan", "raises"]}, is {"choices": ' in said
    assert "parabola@2" in studies(*words, "--new-version").stderr


def test_a_file_that_the_spec_names_has_a_fingerprint(studies: Studies) -> None:
    (studies.directory / "reader.py").write_text(READER)
    data = studies.directory / "rows.csv"
    data.write_text("1\n2\n")
    words = ["launch", "./parabola.yaml", "--set", "objective=reader:Reader", "--dataset", "./rows.csv", "--trials"]
    studies(*words, "1")
    exported = yaml.safe_load(studies.told("export", "parabola").stdout)
    assert len(exported["dataset"]["sha256"]) == 64
    data.write_text("1\n3\n")
    assert "another data" in studies(*words, "2", expect=2).stderr


def test_declared_defaults_run_first(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "2")
    trials = json.loads(studies.told("export", "parabola", "--format", "json").stdout)["trials"]
    assert [trial["params"]["x"] == 0.0 for trial in trials] == [True, False]
