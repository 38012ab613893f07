"""The dashboard for Grafana shows every metric that `/metrics` has, and none that it has not."""

from __future__ import annotations

import json
import re
from typing import Any

from studies.web.app import ASSETS
from studies.web.metrics import as_text

BOARD = json.loads((ASSETS / "grafana.json").read_text())


def queries() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_its_queries_name_the_metrics_that_there_are() -> None:
    known = set(re.findall(r"^# TYPE (\w+) ", as_text([], {}, {}), re.MULTILINE))
    used = set(re.findall(r"\bstudies_\w+", " ".join(queries())))
    assert used == known


def test_its_panels_are_apart_and_of_its_data_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at: dict[str, Any] = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert [variable["name"] for variable in BOARD["templating"]["list"]] == ["datasource", "study"]
