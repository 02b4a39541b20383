from __future__ import annotations

from zoo.weights.report import LoadReport, listing

REPORT = LoadReport(assigned={"a/kernel": (2, 3)}, reinitialised={"predictions/kernel": (3, 10)})


def test_the_table_names_all_but_the_assigned() -> None:
    """The short text counts each fate and names what a user has to know about."""
    assert REPORT.to_text().splitlines() == ["assigned          1", "reinitialised     1  predictions/kernel [3, 10]"]


def test_the_dictionary_is_json_ready() -> None:
    """Shapes are lists, and every fate is there, also an empty one."""
    assert REPORT.to_dict() == {"assigned": {"a/kernel": [2, 3]}, "transposed": {}, "unused": {}, "missing": {},
                                "reinitialised": {"predictions/kernel": [3, 10]}, "reasons": {}, "verification": None}


def test_reports_of_two_parts_are_joined() -> None:
    """Loading a backbone and a head gives one report."""
    joined = REPORT.merged(LoadReport(assigned={"b/bias": (1,)}, missing={"c": ()}))
    assert joined.assigned == {"a/kernel": (2, 3), "b/bias": (1,)}
    assert joined.missing == {"c": ()}
    assert joined.reinitialised == REPORT.reinitialised


def test_long_listings_end_with_the_count() -> None:
    """An error with a thousand variables stays readable."""
    assert listing({f"v{number}": () for number in range(5)}, 2) == "v0 [], v1 [] and 3 more"
