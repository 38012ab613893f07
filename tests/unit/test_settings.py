"""Variables are read once, and secrets never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies import errors
from studies.errors import HomeNotWritable, StudiesError, UnknownStudy, WrongInput
from studies.settings import Settings, masked


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.from_environment({"STUDIES_STORAGE": "", "STUDIES_HOME": "/h"}).storage is None


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf", "1e300"])
def test_a_time_is_a_number_that_a_wait_can_take(seconds: str) -> None:
    with pytest.raises(WrongInput, match="expected a number of seconds above 0, such as STUDIES_LEASE_S=60"):
        Settings.from_environment({"STUDIES_HOME": "/h", "STUDIES_LEASE_S": seconds})


def test_a_file_may_hold_the_storages_address(tmp_path: Path) -> None:
    file, empty, url = tmp_path / "worker.url", tmp_path / "empty", "postgresql://me:x@host/db"
    file.write_text(f"{url}\n")
    empty.touch()
    for typed in (str(file), f" {url}\n"):
        assert Settings.from_environment({"STUDIES_STORAGE": typed, "STUDIES_HOME": "/h"}).storage == url
        assert Settings(None, tmp_path, tmp_path).with_storage(typed).storage == url
    for wrong in (empty, "~nobody-of-this-name/x", "x" * 5000):  # and never the embedded server in its place
        with pytest.raises(WrongInput):
            Settings(None, tmp_path, tmp_path).with_storage(str(wrong))


def test_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.from_environment({"STUDIES_HOME": str(tmp_path / "file")})
    with pytest.raises(HomeNotWritable, match="set STUDIES_HOME"):
        settings.directory("logs")


@given(st.text(st.characters(codec="ascii", exclude_characters=" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f&"), min_size=3))
def test_no_password_survives_masking(password: str) -> None:
    assert f":{password}@" not in masked(f"could not reach postgresql://me:{password}@host:5432/db at all")
    assert masked(f"postgresql://host/db?user=me&password={password}").endswith("password=***")


def test_every_error_has_a_sentence_and_survives_pickling() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StudiesError)]
    assert all(kind.__doc__ for kind in kinds)
    error = pickle.loads(pickle.dumps(UnknownStudy(name="x", near="; did you mean y?")))
    assert str(error).endswith("starts one of your own); did you mean y?")
    assert error.exit_code == 2
