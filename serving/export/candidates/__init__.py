"""Several exports of one model, measured side by side: the best within the tolerance is published."""
