"""Models for series of numbers."""

from __future__ import annotations

from zoo.spec import ModelSpec, TensorInfo, TensorPreprocessing, TrainingDefaults, Tunable

_RECURRENT = {"cell": Tunable(choices=("lstm", "gru", "simple")), "units": Tunable(choices=(32, 64, 128, 256)),
              "layers": Tunable(low=1, high=3, step=1), "bidirectional": Tunable(choices=(False, True)),
              "pooling": Tunable(choices=(None, "avg", "max")), "dropout": Tunable(low=0.0, high=0.5, step=0.1),
              "l2": Tunable(low=1e-6, high=1e-2, log=True)}
_LSTM_PAPER = "https://doi.org/10.1162/neco.1997.9.8.1735"

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="rnn", builder="zoo.tabular.recurrent:rnn", family="rnn", input_kind="sequence", task="classification",
        description="Recurrent network (LSTM, GRU or simple, one or both directions) that chooses a class for a time "
        "series of any length.",
        inputs=(TensorInfo(name="sequence", shape=(None, 8)),), outputs=(TensorInfo(name="predictions", shape=(2,)),),
        parameters=18_818, licence="Apache-2.0", num_classes=2, preprocessing=TensorPreprocessing(), tags=("small",),
        paper=_LSTM_PAPER, tunable=_RECURRENT,
        training=TrainingDefaults(loss="sparse_categorical_crossentropy", optimizer="adam", learning_rate=1e-3,
                                  batch_size=32, epochs=10)),
    ModelSpec(
        name="rnn_regression", builder="zoo.tabular.recurrent:rnn_regression", family="rnn", input_kind="sequence",
        task="regression", description="Recurrent network (LSTM, GRU or simple, one or both directions) that predicts "
        "a value from a time series of any length, such as its next one (forecast).",
        inputs=(TensorInfo(name="sequence", shape=(None, 8)),), outputs=(TensorInfo(name="predictions", shape=(1,)),),
        parameters=18_753, licence="Apache-2.0", preprocessing=TensorPreprocessing(), tags=("small",),
        paper=_LSTM_PAPER, tunable=_RECURRENT,
        training=TrainingDefaults(loss="mean_squared_error", optimizer="adam", learning_rate=1e-3, batch_size=32,
                                  epochs=10)),
    ModelSpec(
        name="transformer", builder="zoo.tabular.transformer:transformer", family="transformer",
        input_kind="sequence", task="regression", description="Encoder-decoder transformer for series of vectors: "
        "attention with 8 heads over 512 numbers, 3 layers each way, and one linear output per target step.",
        inputs=(TensorInfo(name="source", shape=(None, 512)), TensorInfo(name="target", shape=(None, 512))),
        outputs=(TensorInfo(name="predictions", shape=(None, 1)),),
        parameters=22_071_809, licence="Apache-2.0", preprocessing=TensorPreprocessing(),
        paper="https://arxiv.org/abs/1706.03762",
        tunable={"d_model": Tunable(choices=(64, 128, 256, 512)), "heads": Tunable(choices=(4, 8)),
                 "encoder_layers": Tunable(low=1, high=6, step=1), "decoder_layers": Tunable(low=1, high=6, step=1),
                 "feed_forward": Tunable(choices=(256, 512, 1024, 2048)),
                 "dropout": Tunable(low=0.0, high=0.5, step=0.1), "l2": Tunable(low=1e-6, high=1e-2, log=True)},
        training=TrainingDefaults(loss="mean_squared_error", optimizer="adam", learning_rate=1e-4, batch_size=32,
                                  epochs=10)),
)
