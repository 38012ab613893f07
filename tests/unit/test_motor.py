"""The motor: the reader, the split by session, the averages, the simulation, and the errors for bad files."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import DataError
from objectives._data.kit.split import ROLES
from objectives._data.motor import COLUMNS, SESSION, Motor, averaged, load_motor
from objectives._data.motor.simulation import UNITS, simulate
from objectives._data.motor.split import split
from objectives.pmsm_temperature import FEATURES, scale_of, scaled, score_sessions

from ..data_files import refused

HEADER = ",".join([*COLUMNS, SESSION])
ROW = ",".join(["0.5"] * 12)


def load(path: object, tmp_path: Path) -> Motor:
    return load_motor(str(path), tmp_path / "data", tmp_path / "cache")


def frame(n_sessions: int = 6, n_rows: int = 20) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(n_sessions * n_rows, 12)).round(4), columns=list(COLUMNS))
    table[SESSION] = np.repeat(np.arange(10, 10 + n_sessions), n_rows)
    return table


def test_columns_are_found_by_name_and_rows_by_session(tmp_path: Path) -> None:
    table = frame()
    mixed = table.sample(frac=1, random_state=1).sort_values("ambient")  # sessions interleaved
    mixed["i_s"] = 1.0
    mixed[[*reversed(mixed.columns)]].to_csv(tmp_path / "v2.csv", index=False)
    motor = load(tmp_path / "v2.csv", tmp_path)
    assert motor.sessions.tolist() == [10, 11, 12, 13, 14, 15]
    for session, begin, end in zip(motor.sessions, motor.offsets[:-1], motor.offsets[1:], strict=True):
        expected = mixed[mixed[SESSION] == session][list(COLUMNS)].to_numpy(np.float32)
        assert np.array_equal(motor.values[begin:end], expected)  # in the file's order


def test_no_session_has_two_roles(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "v1.csv.gz", index=False)
    motor = load(tmp_path / "v1.csv.gz", tmp_path)
    rows = [motor.rows(role) for role in ROLES]
    assert sorted(np.concatenate(rows).tolist()) == list(range(120))
    session_of = np.repeat(motor.sessions, np.diff(motor.offsets))
    for role, own in zip(ROLES, rows, strict=True):
        assert set(session_of[own]) == set(motor.sessions_of(role)) != set()
    assert motor.summary == {"rows": 120, "train_sessions": 4, "validation_sessions": 1, "test_sessions": 1}


@given(st.integers(3, 500))
def test_every_role_has_sessions(n: int) -> None:
    counts = np.bincount(split(n), minlength=3)
    assert counts.min() >= 1
    assert counts[1] == counts[2] == max(1, round(0.15 * n))


@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    span=st.sampled_from([1, 2, 7, 60, 1200]),
    seed=st.integers(0, 99),
)
def test_averages_are_those_of_pandas_and_stay_within_a_session(lengths: list[int], span: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), 3)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    expected = [
        pd.DataFrame(values[begin:end].astype(np.float64)).ewm(span=span, adjust=False).mean().to_numpy()
        for begin, end in pairwise(offsets)
    ]
    np.testing.assert_allclose(averaged(values, offsets, span), np.concatenate(expected), rtol=1e-9, atol=1e-9)


def test_a_long_session_is_averaged_to_rounding() -> None:
    values = np.random.default_rng(0).normal(10, 1, size=(30_000, 1))
    expected = pd.DataFrame(values).ewm(span=600, adjust=False).mean().to_numpy()
    np.testing.assert_allclose(averaged(values, np.array([0, 30_000]), 600), expected, rtol=1e-12)


@pytest.mark.parametrize("scaling", ["none", "minmax", "standard"])
def test_the_scale_is_that_of_the_training_rows(scaling: str) -> None:
    inputs = np.random.default_rng(0).normal(3, 2, size=(50, 2)).astype(np.float32)
    inputs[:, 1] = 7
    train = np.arange(20)
    found = scaled(inputs, *scale_of(inputs[train], scaling))
    changed = inputs.copy()
    changed[30:] *= 100  # rows that are not trained on
    assert np.array_equal(scaled(changed, *scale_of(changed[train], scaling))[:20], found[:20])
    assert np.isfinite(found).all()
    if scaling == "standard":
        assert found[train, 0].mean() == pytest.approx(0, abs=1e-6)
    if scaling == "minmax":
        assert (found[train, 0].min(), found[train, 0].max()) == (0, 1)


def test_r2_of_a_session_is_over_its_own_rows() -> None:
    offsets, roles = np.array([0, 2, 5, 8]), np.array([1, 0, 1], dtype=np.uint8)
    motor = Motor("", "", {}, np.zeros((8, 12), np.float32), np.array([4, 5, 6]), offsets, roles, Path())
    target = np.array([0, 1, 5, 5, 5], dtype=np.float32)
    found = score_sessions(np.array([0, 1, 5, 5, 6], dtype=np.float32), target, motor, "validation")
    assert found["r2_session_4"] == 1
    assert "r2_session_6" not in found  # of constant temperature
    assert found["r2"] < 1
    assert found["baseline_r2"] < 0


def test_no_feature_is_the_target() -> None:
    assert all("pm" not in names and set(names) <= set(COLUMNS) for names in FEATURES.values())


def test_the_simulation_is_the_same_each_time_and_in_the_units_of_the_first_release() -> None:
    one, again = simulate(4, (100, 200), 1), simulate(4, (100, 200), 1)
    assert one.columns == tuple(UNITS) == COLUMNS
    assert np.array_equal(one.values, again.values)
    assert not np.array_equal(one.values[:50], simulate(4, (100, 200), 2).values[:50])
    assert np.isfinite(one.values).all()
    assert len(np.unique(one.sessions)) == 4


def test_the_simulated_data_set(tmp_path: Path) -> None:
    motor = load_motor("simulated", tmp_path, tmp_path)
    assert (len(motor.sessions), len(motor.values)) == (160, motor.summary["rows"])
    assert np.abs(motor.values.mean(axis=0)).max() < 0.3
    assert np.abs(motor.values.std(axis=0) - 1).max() < 0.3


@pytest.mark.parametrize("dataset", ["pmsm-v1", "pmsm-v2"])
def test_missing_files_are_named_with_their_place(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=r"put \w+\.csv of Kaggle's .* into .*pmsm, or use the data set simulated"):
        load_motor(dataset, tmp_path, tmp_path)


def rows(*sessions: object) -> str:
    return "".join(f"{ROW},{session}\n" for session in sessions)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("\n", "is empty; expected a line with the columns' names"),
        (HEADER + "\n", "has a header and no rows"),
        (HEADER.replace("torque,", "") + "\n", "line 1: no column 'torque' in"),
        (HEADER.replace("profile_id", "pid") + "\n" + rows(1), "line 1: no column 'profile_id' in"),
        (HEADER.replace("u_d", "u_q") + "\n", "line 1: no column 'u_d' in"),
        (HEADER.replace(",", "/") + "\n", "line 1: no column 'ambient' in"),
        (HEADER.replace(",", ";") + "\n" + rows(1, 2, "x").replace(",", ";"), "line 4: profile_id is 'x'"),
        (HEADER + ",pm\n", "line 1: several columns 'pm'"),
        (HEADER.replace("u_d", "U-q") + "\n", "line 1: no column 'u_d' in 'ambient,coolant,U-q,"),
        (rows(1).replace("0.5", "-0.76", 1), "once; the line with the columns' names seems to be missing"),
        (rows(1).replace("0.5", "-0.76", 1), "line 1: no column 'ambient' in '-0.76,"),
        (HEADER.replace("ambient", "Ambient") + "\n" + rows(1).replace("0.5", "x", 1), "line 2: Ambient is 'x'"),
        ('"ambient,x\n', "line 1: not CSV"),
        (HEADER + "\n" + rows(1, 2, "x"), "line 4: profile_id is 'x'; expected a whole number"),
        (HEADER + "\n" + rows(1, 2.5), "line 3: profile_id is '2.5'"),
        (HEADER + "\n" + rows(1, 2, -3), "line 4: profile_id is '-3'"),
        (HEADER + "\n" + rows(1, "nan"), "line 3: profile_id is 'nan'"),
        (HEADER + "\n" + rows(1) + "\n" + rows(2).replace("0.5", "", 1), "line 4: ambient is ''; expected a finite"),
        (HEADER + "\n" + rows(1).replace("0.5", "NaN", 2), "line 2: ambient is 'NaN'"),
        (HEADER + "\n" + rows(1).replace("0.5", "1e300", 1), "line 2: ambient is '1e300'"),
        (HEADER + "\n" + rows(1) + "0.5,0.5\n", "line 3: 2 columns; expected 13"),
        (HEADER + "\n" + rows(1).replace("0.5", "1_0", 1), "line 2: ambient is '1_0'"),
        (HEADER + "\n" + rows(1).replace("0.5", "\u0967", 1), "line 2: ambient is '\u0967'"),
        (HEADER + "\n" + rows(1) + rows(1).replace("0.5", "0\r5", 1), "line 3: a carriage return within a line"),
        (
            HEADER.replace(",", "\t") + "\n\n" + rows(1).replace(",", "\t").replace("0.5", "1,234", 1),
            "line 3: the decimal mark is a comma or a point: '1,234' in line 3, '0.5' in line 3; write all numbers",
        ),
        (HEADER + "\n" + rows(1, 1, 2), "has 2 sessions in its column profile_id; expected 3 or more"),
        (HEADER.replace("profile_id", "Session") + "\n" + rows(1), "has 1 session in its column Session; expected 3"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "motor.csv"
    path.write_text(text)
    refused(lambda: load(path, tmp_path), tmp_path / "cache", str(path), expected)


@settings(max_examples=25)
@given(
    written=st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ".")]), capitals=st.booleans(), data=st.data()
)
def test_only_the_columns_that_are_used_are_read(
    written: tuple[str, str], capitals: bool, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place, (separator, point) = tmp_path_factory.mktemp("motor"), written
    table = frame().astype(str)
    for number in range(data.draw(st.integers(0, 3))):
        texts = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=5)
        table.insert(data.draw(st.integers(0, len(table.columns))), f"note {number}", [data.draw(texts)] * len(table))
    own = [*COLUMNS, SESSION]
    frame().to_csv(place / "plain.csv", index=False)
    table[own] = table[own].map(lambda text: text.replace(".", point))
    if capitals:
        table.columns = [name.upper() for name in table.columns]
    table.to_csv(place / "mixed.csv", index=False, sep=separator)
    plain, mixed = (load(place / f"{name}.csv", place) for name in ("plain", "mixed"))
    assert np.array_equal(plain.values, mixed.values)
    assert plain.sessions.tolist() == mixed.sessions.tolist()


def test_a_file_in_latin_1_is_read_and_says_so(tmp_path: Path) -> None:
    text = frame().assign(ort="Zürich").to_csv(index=False)
    (tmp_path / "latin.csv").write_bytes(text.encode("latin-1"))
    assert load(tmp_path / "latin.csv", tmp_path).summary["files_read_as_latin_1"] == 1
    (tmp_path / "utf.csv").write_text(text)
    assert "files_read_as_latin_1" not in load(tmp_path / "utf.csv", tmp_path).summary


@pytest.mark.parametrize("role", ["train", "validation"])
def test_a_temperature_that_never_changes_is_refused(tmp_path: Path, role: str) -> None:
    table = frame()
    own = split(6) == ROLES.index(role)
    table.loc[np.repeat(own, 20), "pm"] = 50.0
    table.to_csv(tmp_path / "a.csv", index=False)
    expected = f"a.csv: the column pm is 50 in all {20 * own.sum()} {role} rows, so there is nothing to predict"
    refused(lambda: load(tmp_path / "a.csv", tmp_path), tmp_path / "cache", expected)


def test_a_mistake_far_down_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "motor.csv"
    path.write_text(HEADER + "\n" + rows(*[1] * 20_000) + rows("?"))
    with pytest.raises(DataError, match=r"line 20002: profile_id is '\?'"):
        load(path, tmp_path)


def test_truncated_gzip_and_other_encodings(tmp_path: Path) -> None:
    cut, latin = tmp_path / "cut.csv.gz", tmp_path / "latin.csv"
    cut.write_bytes(gzip.compress(frame().to_csv(index=False).encode())[:-200])
    latin.write_bytes("température,".encode() + HEADER.encode() + b"\n" + b"caf\xe9\n")
    with pytest.raises(DataError, match="truncated or damaged"):
        load(cut, tmp_path)
    with pytest.raises(DataError, match="line 2: byte 0xe9 is not UTF-8"):
        load(latin, tmp_path)


def test_a_directory_is_not_absent(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} is a directory; expected a file"):
        load(tmp_path, tmp_path)


def test_an_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set or file 'simulate'.*simulated"):
        load("simulate", tmp_path)
