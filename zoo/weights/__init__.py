"""Where parameters come from: addresses, the cache, file formats, and the report of what was assigned."""

from __future__ import annotations

from zoo.weights.report import LoadReport, Verification, report_of

__all__ = ["LoadReport", "Verification", "report_of"]
