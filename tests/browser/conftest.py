"""Fixtures of a dashboard that is served."""

from ..dashboards import dashboard, open_house, storage  # noqa: F401
