"""The study: what was tried, what is tried next, what stops early. It keeps the journal and runs nothing."""

from __future__ import annotations


class Study:
    """What was tried, what is tried next, and which trials stop early."""
