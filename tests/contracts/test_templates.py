"""What `studies init --objective` writes fulfils the contract that the shipped objectives do."""

from __future__ import annotations

import pytest

from studies import templates
from studies.testing import ObjectiveSuite
from studies.testing.subject import Subject


class TestClassifier(ObjectiveSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        directory = tmp_path_factory.mktemp("written")
        templates.write("made-fruit", directory, with_class=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(directory)
            return Subject("made_fruit:Classifier", directory, str(directory / "made-fruit.csv"), {})
