"""The training configuration: what it refuses, and that it survives a file."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from zoo.errors import ArgumentError, UnknownNameError
from zoo.spec import TrainingDefaults
from zoo.training.config import AUGMENTATIONS, Augmentation, TrainingConfig

REFUSED = [
    ({"epochs": 0}, r"`epochs` must be a whole number of at least 1. Received: 0"),
    ({"batch_size": 2.5}, r"`batch_size` must be a whole number of at least 1. Received: 2.5"),
    ({"epochs": True}, "`epochs` must be a whole number"),
    ({"optimizer": "adan"}, "Unknown optimizer 'adan'. Did you mean 'adam'"),
    ({"schedule": "cosin"}, "Unknown schedule 'cosin'. Did you mean 'cosine'"),
    ({"mixed_precision": "float16"}, "Unknown mixed precision 'float16'"),
    ({"monitor": "val_acc"}, "Unknown monitor 'val_acc'"),
    ({"learning_rate": 0}, r"`learning_rate` must be a number in \(0.0, inf\). Received: 0"),
    ({"learning_rate": float("nan")}, "`learning_rate` must be a number"),
    ({"learning_rate": "fast"}, "Received: 'fast'"),
    ({"label_smoothing": 1.0}, r"`label_smoothing` must be a number in \[0.0, 1.0\)"),
    ({"momentum": 0.9}, "`momentum` belongs to the optimizers 'momentum' and 'rmsprop'"),
    ({"l2": -1e-4}, "`l2` must be a number"),
    ({"weight_decay": -1.0}, "`weight_decay` must be a number"),
    ({"clip_norm": 1.0, "clip_value": 0.5}, "At most one of clip_norm, clip_value, clip_global_norm"),
    ({"clip_global_norm": 0.0}, "`clip_global_norm` must be a number"),
    ({"epochs": 3, "frozen_epochs": 4}, "`frozen_epochs` are part of `epochs`"),
    ({"epochs": 3, "warmup_epochs": 3}, "`warmup_epochs` must be less than `epochs`"),
    ({"schedule": "step", "schedule_factor": 0.0}, "`schedule_factor` must be above 0"),
    ({"schedule_factor": 1.5}, "`schedule_factor` must be a number"),
    ({"early_stopping_patience": 0}, "`early_stopping_patience` must be a whole number"),
    ({"seed": -1}, "`seed` must be a whole number"),
    ({"seed": 2**31}, r"`seed` must be below 2\*\*31"),
    ({"class_weights": 1}, "`class_weights` must be True or False"),
    ({"augmentation": "flip"}, "`augmentation` is a tuple"),
    ({"augmentation": ("flip", "flip:1")}, "names each change once"),
    ({"augmentation": (3,)}, "`augmentation` holds names"),
    ({"augmentation": ("rotate:steep",)}, "'name' or 'name:strength'"),
    ({"augmentation": ("rotate:200",)}, r"`strength of 'rotate' \(largest angle in degrees, either way\)` must be"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[str(changes) for changes, _ in REFUSED])
def test_refuses_wrong_values(changes: dict[str, Any], message: str) -> None:
    """A wrong value is refused when the configuration is made, with its name, what was expected and what came."""
    with pytest.raises(ArgumentError, match=message):
        TrainingConfig(**changes)


def test_survives_json() -> None:
    """A configuration comes back equal from its JSON."""
    config = TrainingConfig(epochs=7, schedule="cosine", warmup_epochs=0.5, clip_norm=1.0,
                            augmentation=("flip", Augmentation("rotate", 20), "mixup:0.4"))
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.augmentation == (Augmentation("flip", 0.5), Augmentation("rotate", 20.0), Augmentation("mixup", 0.4))


def test_unknown_option_names_its_neighbour() -> None:
    """A misspelled option is refused with the near one."""
    with pytest.raises(ArgumentError, match=r"Unknown training option 'learning_rat'\. Did you mean 'learning_rate'"):
        TrainingConfig.from_dict({"learning_rat": 0.1})


def test_starts_from_a_models_own_training() -> None:
    """A spec's training defaults are taken, and changes go on top."""
    defaults = TrainingDefaults(loss="mean_squared_error", optimizer="sgd", learning_rate=0.05, batch_size=8, epochs=3)
    config = TrainingConfig.for_spec(defaults, epochs=5)
    assert (config.optimizer, config.learning_rate, config.batch_size, config.epochs) == ("sgd", 0.05, 8, 5)


def test_fingerprint_follows_the_numbers() -> None:
    """The fingerprint changes with what the numbers depend on, and not with TensorBoard."""
    config = TrainingConfig()
    assert config.fingerprint() == config.replace(tensorboard=True).fingerprint()
    assert config.fingerprint() != config.replace(seed=1).fingerprint()


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_augmentation_defaults_lie_in_their_ranges(name: str) -> None:
    """Every augmentation can be named without a strength."""
    known = AUGMENTATIONS[name]
    assert known.low <= known.default <= known.high
    assert Augmentation(name).strength == known.default


def test_unknown_augmentation() -> None:
    """An unknown augmentation is refused with the near one."""
    with pytest.raises(UnknownNameError, match=r"Unknown augmentation 'rotat'\. Did you mean 'rotate'"):
        Augmentation.parse("rotat:3")


def test_configuration_needs_no_tensorflow() -> None:
    """Configuration, events and reports are there without TensorFlow or Keras; `fit` is looked up when used."""
    code = ("import sys; from zoo.training import TrainingConfig, TrainingReport, EpochEnded; TrainingConfig();"
            "sys.exit(','.join(m for m in ('tensorflow', 'keras') if m in sys.modules) or None)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
