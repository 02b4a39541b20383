"""One search of benchmarks/tuning.py in a process of its own: plain KerasTuner's `search()`, or ours on an engine.

    python benchmarks/tuning_arms.py ARM TASK SEED SECONDS FOLDER

Prints one line of JSON: the trials in the order in which they ended, each with the time since this process began,
its epochs and its result; and how the best model does on the examples that no search saw. The model is loaded from
the folder by plain KerasTuner in every arm.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

BEGAN = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - float(
    Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK"))
ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "benchmarks" / "tuning_programs"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# This folder has a serving.py, which would stand in front of the package.
sys.path[0] = str(ROOT)


@dataclass(frozen=True)
class Arm:
    """How a search is run: KerasTuner's own loop ("") or one of our engines, which oracle, which early stopping."""

    engine: str
    oracle: str = "random"
    stopper: str = "none"


ARMS: Mapping[str, Arm] = MappingProxyType({
    "keras_tuner": Arm(""), "keras_tuner_hyperband": Arm("", "hyperband"),
    "keras_tuner_bayesian": Arm("", "bayesian"),
    "local": Arm("local", stopper="asha"), "local_unstopped": Arm("local"),
    "local_hyperband": Arm("local", "hyperband"), "local_bayesian": Arm("local", "bayesian", "asha"),
    "ray": Arm("ray", stopper="asha")})
EPOCHS = MappingProxyType({"digits": 27, "sst2": 9})
OBJECTIVE = "val_loss"


def keras_tuner_search(arm: Arm, task: str, seed: int, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """KerasTuner's own search, ended after the first trial that ends behind the time."""
    import keras
    import keras_tuner

    program, steps, last = _program(task), [], {"epochs": 0}

    class Counting(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            last["epochs"] += 1
            if time.time() - BEGAN > seconds:
                self.model.stop_training = True

    classes = {"random": keras_tuner.RandomSearch, "bayesian": keras_tuner.BayesianOptimization,
               "hyperband": keras_tuner.Hyperband}

    class Timed(classes[arm.oracle]):  # type: ignore[misc]
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            steps.append({"trial": trial.trial_id, "seconds": time.time() - BEGAN, "epochs": last["epochs"],
                          "value": trial.score, "values": trial.hyperparameters.values})
            last["epochs"] = 0
            if time.time() - BEGAN > seconds:
                self.oracle.max_trials = 1  # KerasTuner takes 0 for no bound

    bound = ({"max_epochs": EPOCHS[task], "hyperband_iterations": 100} if arm.oracle == "hyperband"
             else {"max_trials": 100_000})
    keras.utils.set_random_seed(seed)
    tuner = Timed(program.hypermodel, objective=keras_tuner.Objective(OBJECTIVE, "min"), seed=seed + 1,
                  directory=str(folder.parent), project_name=folder.name, **bound)
    tuner.search(**program.data(), epochs=EPOCHS[task], verbose=0, callbacks=[Counting()])
    return steps


def our_search(arm: Arm, task: str, seed: int, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """Our search on one of the engines, for the same time."""
    from tuning.run import make_engine

    engine = make_engine(arm.engine, **({"jobs": 2} if arm.engine == "local" else {}))
    if hasattr(engine, "warm_up"):
        engine.warm_up()

    from tuning.config import SearchConfig
    from tuning.folder import SearchFolder
    from tuning.oracles.driver import make_driver
    from tuning.programs.declaring import declare
    from tuning.study.measures import may_win
    from tuning.study.study import Study

    file = PROGRAMS / f"{task}.py"
    config = SearchConfig.from_dict({
        "hypermodel": f"{file}:hypermodel", "data_function": f"{file}:data", "objectives": [f"min:{OBJECTIVE}"],
        "oracle": arm.oracle, "stopper": arm.stopper, "epochs": EPOCHS[task], "seed": seed + 1, "trials": 100_000})
    with Study.open(SearchFolder.at(folder), config, declare=declare, driver=make_driver) as study:
        bell = threading.Timer(seconds - (time.time() - BEGAN), study.folder.stop_request.touch)
        bell.start()  # the time counts from the start of the process, which the search's own `minutes` cannot know
        engine.run(study)
        bell.cancel()
        trials = sorted((trial for trial in study.trials.values() if trial.has_ended),
                        key=lambda trial: trial.ended or 0.0)
        return [{"trial": trial.id, "seconds": (trial.ended or 0.0) - BEGAN, "epochs": trial.epochs,
                 "value": trial.measures.get(OBJECTIVE) if may_win(trial, config) else None, "status": trial.status,
                 "values": dict(trial.values)} for trial in trials]


def judged(arm: Arm, task: str, folder: Path) -> float:
    """Accuracy of the best model on the examples that no search saw, as plain KerasTuner loads it from the folder."""
    import keras_tuner

    program = _program(task)
    arrays = program.load(task)
    make = {"random": keras_tuner.RandomSearch, "bayesian": keras_tuner.BayesianOptimization,
            "hyperband": keras_tuner.Hyperband}[arm.oracle]
    tuner = make(program.hypermodel, objective=keras_tuner.Objective(OBJECTIVE, "min"), overwrite=False,
                 directory=str(folder.parent), project_name=folder.name)
    tuner.reload()
    (model,) = tuner.get_best_models(1)
    return float(model.evaluate(arrays["x_test"], arrays["y_test"], verbose=0, return_dict=True)["accuracy"])


def _program(task: str) -> Any:
    import importlib

    if str(PROGRAMS) not in sys.path:
        sys.path.append(str(PROGRAMS))
    return importlib.import_module(task)


def main() -> None:
    name, task, seed, seconds, folder = sys.argv[1:]
    arm, place = ARMS[name], Path(folder)
    run = our_search if arm.engine else keras_tuner_search
    steps = run(arm, task, int(seed), float(seconds), place)
    took = time.time() - BEGAN
    print("\n" + json.dumps({"steps": steps, "seconds": took, "test_accuracy": judged(arm, task, place)}))


if __name__ == "__main__":
    main()
