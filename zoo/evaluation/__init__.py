"""Judging a model: figures with intervals, calibration, thresholds, worst mistakes, and the report of all that."""

from __future__ import annotations

from zoo.evaluation.evaluator import evaluate, judge
from zoo.evaluation.measurement import Metric
from zoo.evaluation.predictions import EvaluationSplit, Predictions, predict
from zoo.evaluation.report import EvaluationReport
from zoo.evaluation.threshold import ThresholdChoice, choose_threshold, find_threshold

__all__ = ["EvaluationReport", "EvaluationSplit", "Metric", "Predictions", "ThresholdChoice", "choose_threshold",
           "evaluate", "find_threshold", "judge", "predict"]
