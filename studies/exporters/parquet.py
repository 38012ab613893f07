"""Every trial as Parquet: the rows and columns of the CSV with their types, and each trial's curve.

`frame.explode("curve")` is the long form: one row an epoch.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


def render(record: StudyRecord) -> bytes:
    """Return the trials as one Parquet file."""
    import pyarrow
    from pyarrow import parquet

    from studies.record.frames import trials_frame

    metric = record.spec.metric
    curves = [
        [{"epoch": epoch, **metrics} for epoch, metrics in trial.epochs(metric).items()] for trial in record.trials
    ]
    names = {name: None for curve in curves for point in curve for name in point if name != "epoch"} or {metric: None}
    point = pyarrow.struct([("epoch", pyarrow.int64()), *((name, pyarrow.float64()) for name in names)])
    table = pyarrow.Table.from_pandas(trials_frame(record), preserve_index=False)
    file = io.BytesIO()
    parquet.write_table(table.append_column("curve", pyarrow.array(curves, pyarrow.list_(point))), file)
    return file.getvalue()


def render_curves(record: StudyRecord) -> bytes:
    """Return every epoch of every trial as one Parquet file."""
    from studies.record.frames import curves_frame

    file = io.BytesIO()
    curves_frame(record).to_parquet(file, index=False)
    return file.getvalue()
