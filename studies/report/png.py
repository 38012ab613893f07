"""The report's figures as PNG files for a paper: what the page draws with plotly, drawn with matplotlib.

Plotly itself needs a browser to make pictures (kaleido 1 runs Chrome). matplotlib needs nothing, and our figures use
little of plotly: lines, points, bars, heat maps, and a handful of settings of the axes.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from studies.report.shades import DARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from studies.report.document import Document, Figure

DPI = 300
WIDTH, HALF_WIDTH = 6.6, 4.4  # inches; a column of a paper is 3.3 wide
HEIGHT, HALF_HEIGHT = 3.6, 3.1
PIXELS_PER_INCH = 105  # of a figure that says its height in the page's pixels
SETTINGS: Any = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a9099",
    "axes.grid": True,
    "grid.color": "#eceef1",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # a parameter's name is no formula
    "text.usetex": False,
}
MAX_SLUG = 60
MAX_TITLE = 80
CROWDED = 45  # characters below an axis; more of them are turned


def pictures(page: Document) -> Iterator[tuple[str, bytes]]:
    """Yield every figure of the page as a file name and the content of a PNG file."""
    drawn = (figure for section in page.sections for figure in section.figures)
    for index, figure in enumerate(drawn, start=1):
        yield f"{index:02d}-{slug(figure.title)}.png", picture(figure)


def slug(title: str) -> str:
    """Return what a figure shows as a part of a file's name, without the numbers that change from day to day."""
    shown = re.split(r"[:(]", title)[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", shown).strip("-")[:MAX_SLUG].rstrip("-") or "figure"


def picture(figure: Figure) -> bytes:
    """Return a figure as a PNG file of DPI dots an inch."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    # A glyph that the font lacks is drawn as a box, an axis of 600 decades has fewer ticks: nothing to warn of.
    with mpl.rc_context(SETTINGS), warnings.catch_warnings(action="ignore"):
        width, height = (HALF_WIDTH, HALF_HEIGHT) if figure.half else (WIDTH, HEIGHT)
        canvas = Canvas((width, figure.layout.get("height", height * PIXELS_PER_INCH) / PIXELS_PER_INCH), dpi=DPI)
        axes = canvas.add_subplot()
        for trace in figure.data:
            DRAW[trace["type"]](axes, trace)
        _axis(axes, "x", figure.layout.get("xaxis", {}))
        _axis(axes, "y", figure.layout.get("yaxis", {}))
        axes.set_title(_cut(figure.title), loc="left")
        if figure.layout.get("showlegend", len(figure.data) > 1):
            axes.legend(loc="best", fontsize=8)
        file = io.BytesIO()
        FigureCanvasAgg(canvas).print_figure(file, dpi=DPI, bbox_inches="tight")
        return file.getvalue()


def _scatter(axes: Axes, trace: dict[str, Any]) -> None:
    x, y = ([math.nan if value is None else value for value in trace[axis]] for axis in ("x", "y"))
    line, marker = trace.get("line", {}), trace.get("marker", {})
    mode = trace["mode"]
    axes.plot(
        x,
        y,
        linestyle="-" if "lines" in mode else "none",
        linewidth=line.get("width", 1.5) * 0.8,
        drawstyle="steps-post" if line.get("shape") == "hv" else "default",
        marker="o" if "markers" in mode else "none",
        markersize=marker.get("size", 5) * 0.7,
        markeredgewidth=0,
        color=line.get("color") or marker.get("color"),
        alpha=trace.get("opacity", marker.get("opacity", 1.0)),
        label=html.unescape(trace.get("name", "")) or None,
    )


def _bar(axes: Axes, trace: dict[str, Any]) -> None:
    if trace.get("orientation") == "h":
        axes.barh(trace["y"], _known(trace["x"]), color=trace["marker"]["color"], height=0.7)
        axes.grid(visible=False, axis="y")
    else:
        axes.bar(trace["x"], _known(trace["y"]), color=trace["marker"]["color"], width=trace["width"])
        axes.grid(visible=False, axis="x")


def _known(values: list[float | None]) -> list[float]:
    return [0.0 if value is None else value for value in values]


def _heat_map(axes: Axes, trace: dict[str, Any]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    reverse = bool(trace.get("reversescale"))
    shades = LinearSegmentedColormap.from_list("shades", [color for _, color in trace["colorscale"]])
    values = [[math.nan if value is None else value for value in row] for row in trace["z"]]
    known = [value for row in values for value in row if not math.isnan(value)]
    low, high = trace.get("zmin", min(known)), trace.get("zmax", max(known))
    shade = shades.reversed() if reverse else shades
    image = axes.imshow(values, cmap=shade, aspect="auto", vmin=low, vmax=high)
    if trace["showscale"]:
        axes.figure.colorbar(image, ax=axes)
    for row, texts in enumerate(trace.get("text", [])):
        for column, text in enumerate(texts):
            depth = (values[row][column] - low) / ((high - low) or 1.0)
            color = "white" if (1 - depth if reverse else depth) > DARK else "#1f2328"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    axes.grid(visible=False)


DRAW = {"scatter": _scatter, "bar": _bar, "heatmap": _heat_map}


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def _axis(axes: Axes, which: str, given: dict[str, Any]) -> None:
    """Give an axis what plotly's layout says of it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    limits = {"xmin": 0} if which == "x" else {"ymin": 0}
    if given.get("type") == "log":
        getattr(axes, f"set_{which}scale")("log")
        axis.set_major_formatter("{x:g}")
    if "title" in given:
        getattr(axes, f"set_{which}label")(_cut(html.unescape(given["title"]["text"])))
    if "tickvals" in given:
        labels = [html.unescape(text) for text in given["ticktext"]]
        axis.set_ticks(given["tickvals"], labels)
        if which == "x" and sum(map(len, labels)) > CROWDED:
            axes.tick_params(axis="x", labelrotation=35)
            for label in axis.get_ticklabels():
                label.set_horizontalalignment("right")
    if "range" in given:
        getattr(axes, f"set_{which}lim")(*given["range"])
    elif given.get("rangemode") == "tozero" and all(value >= 0 for value in axis.get_data_interval()):
        getattr(axes, f"set_{which}lim")(**limits)
    if given.get("tickformat") == ".0%":
        axis.set_major_formatter(lambda share, _: f"{share:.0%}")
    if given.get("dtick") == 1 and given.get("type") != "log":
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(integer=True))
