"""The one place that knows what was tried: it asks the oracle, keeps the journal and judges trials; it runs nothing."""
