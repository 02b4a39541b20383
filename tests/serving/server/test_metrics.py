"""Counts and times of requests."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from serving.server.metrics import ServerMetrics


def test_the_page_is_what_prometheus_reads() -> None:
    """Counters have the original's names without a suffix, latencies are in microseconds."""
    metrics = ServerMetrics()
    for _ in range(3):
        metrics.request_answered("digits", "Predict", "GRPC", "OK", 0.002)
    metrics.warmed_up("/models/digits/1", "OK", 0.5)
    families = {family.name: family for family in text_string_to_metric_families(metrics.page().decode())}
    (count,) = families[":tensorflow:serving:request_count"].samples
    assert (count.name, count.value) == (":tensorflow:serving:request_count", 3.0)
    assert count.labels == {"model_name": "digits", "status": "OK"}
    latency = {sample.name: sample.value for sample in families[":tensorflow:serving:request_latency"].samples}
    assert latency[":tensorflow:serving:request_latency_sum"] == 6000.0
    assert ":tensorflow:serving:model_warmup_latency" in families
