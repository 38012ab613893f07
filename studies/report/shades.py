"""Heat maps for a browser: plotly.js's basic bundle draws none, so each cell becomes a bar of its value's color."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

from studies.report.document import Figure

SIZE = 0.97  # of a cell: the rest is the gap between two
DARK = 0.6  # of the way to the darkest shade; text on it is white


def drawable(figure: Figure) -> dict[str, Any]:
    """Return a figure's data and layout as the page's plotly.js draws them."""
    traces, layout = list(figure.data), figure.layout
    if any(trace["type"] == "heatmap" for trace in traces):
        traces = [_bars(trace, layout) if trace["type"] == "heatmap" else trace for trace in traces]
        layout = layout | {"barmode": "overlay"}
    return {"data": traces, "layout": layout}


def _bars(trace: dict[str, Any], layout: dict[str, Any]) -> dict[str, Any]:
    """Return the bars that look like a heat map; a cell without a value is left out."""
    z, texts = trace["z"], trace.get("text")
    cells = [(row, column) for row, column in product(trace["y"], trace["x"]) if z[row][column] is not None]
    values = [z[row][column] for row, column in cells]
    low, high = trace.get("zmin", min(values, default=0)), trace.get("zmax", max(values, default=1))
    reverse = bool(trace.get("reversescale"))
    depths = [(value - low) / ((high - low) or 1.0) for value in values]
    rows, columns = layout["yaxis"]["ticktext"], layout["xaxis"]["ticktext"]
    bars: dict[str, Any] = {
        "type": "bar",
        "x": [column for _, column in cells],
        "y": [SIZE for _ in cells],
        "base": [row - SIZE / 2 for row, _ in cells],
        "width": SIZE,
        "marker": {"color": values, "colorscale": trace["colorscale"], "cmin": low, "cmax": high,
                   "reversescale": reverse, "showscale": trace["showscale"]},
        "customdata": [[rows[row], columns[column], z[row][column]] for row, column in cells],
        "hovertemplate": "%{customdata[0]}, %{customdata[1]}: %{customdata[2]}<extra></extra>",
    }  # fmt: skip
    if texts is None:
        return bars
    depths = [1 - depth if reverse else depth for depth in depths]
    # plotly looks for a text color that can be read on a bar's, even where it is given one, and knows no scale there.
    bars["marker"] = {"color": [_mixed(trace["colorscale"], depth) for depth in depths]}
    return bars | {
        "text": [texts[row][column] for row, column in cells],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {"color": ["#fff" if depth > DARK else "#1f2328" for depth in depths]},
    }


def _mixed(scale: Sequence[tuple[float, str]], depth: float) -> str:
    """Return the color at a depth from 0 to 1 of a scale of colors such as `#f7f9fc`."""
    depth = min(max(depth, 0.0), 1.0)
    (low, first), (high, last) = next(pair for pair in pairwise(scale) if depth <= pair[1][0])
    share = (depth - low) / (high - low)
    channels = ((int(first[at : at + 2], 16), int(last[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in channels)
