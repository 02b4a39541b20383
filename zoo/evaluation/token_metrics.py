"""Metrics of tags and of language models, resampled by example: the tokens of one text belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zoo.evaluation.entities import EntityCounts
from zoo.evaluation.measurement import Floats, ratio, row_means
from zoo.evaluation.token_predictions import TagPredictions, TokenLosses


@dataclass(frozen=True, eq=False)
class TagRates:
    """Accuracy over tokens and macro figures over tags, from counts per example and tag, [N, C] each."""

    hits: Floats
    support: Floats
    said: Floats

    @classmethod
    def of(cls, predictions: TagPredictions, classes: int) -> TagRates:
        """Counts predictions of `classes` tags."""
        shape = (len(predictions.sources), classes)
        counts = [np.zeros(shape) for _ in range(3)]
        hit = predictions.targets == predictions.predicted
        for total, tags, chosen in zip(counts, (predictions.targets, predictions.targets, predictions.predicted),
                                       (hit, np.ones_like(hit), np.ones_like(hit)), strict=True):
            np.add.at(total, (predictions.example[chosen], tags[chosen]), 1.0)
        return cls(*counts)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns one value [b] per name for weights [b, N]."""
        hits, support, said = (weights @ counts for counts in (self.hits, self.support, self.said))
        present = support > 0
        return {"accuracy": ratio(hits.sum(axis=1), support.sum(axis=1)),
                "precision_macro": row_means(np.where(present, ratio(hits, said, empty=0.0), np.nan)),
                "recall_macro": row_means(ratio(hits, support)),
                "f1_macro": row_means(np.where(present, ratio(2 * hits, support + said), np.nan))}


@dataclass(frozen=True, eq=False)
class EntityRates:
    """Precision, recall and F1 over all entities together."""

    counts: EntityCounts

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns one value [b] per name for weights [b, N]."""
        right, said, true = (weights @ table.sum(axis=1)
                             for table in (self.counts.right, self.counts.said, self.counts.true))
        return {"entity_precision": ratio(right, said), "entity_recall": ratio(right, true),
                "entity_f1": ratio(2 * right, said + true)}


@dataclass(frozen=True, eq=False)
class LanguageRates:
    """Loss per token, per character and per byte, and the share of tokens that were told rightly."""

    losses: TokenLosses

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Returns one value [b] per name for weights [b, N]."""
        nats, tokens = weights @ self.losses.nats, weights @ self.losses.tokens
        mean = ratio(nats, tokens)
        rates = {"loss": mean, "perplexity": np.exp(mean), "accuracy": ratio(weights @ self.losses.right, tokens)}
        if self.losses.bytes.sum():
            rates["nats_per_character"] = ratio(nats, weights @ self.losses.characters)
            rates["bits_per_byte"] = ratio(nats, weights @ self.losses.bytes) / math.log(2.0)
        return rates
