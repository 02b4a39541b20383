"""Greedy and drawn texts are those of the network itself, whatever else is in the batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import zoo
from tests.zoo.generation.small_gpt2 import (
    END_OF_TEXT,
    LAYERS,
    POSITIONS,
    Reference,
    log_softmax,
    parameters,
    small_gpt2,
)
from zoo.errors import ArgumentError
from zoo.generation import generate, score
from zoo.preprocessing.byte_alphabet import byte_vocabulary

# What Hugging Face transformers 5.23 on PyTorch 2.13 writes with the same parameters, `do_sample=False`.
GOLDEN = {
    "hello": [163, 119, 119, 119, 119, 239, 163, 151, 151, 163, 27, 15, 119, 209, 151, 117, 190, 215, 117, 119, 119,
              239, 15, 99],
    "To be, or not to be": [109, 15, 109, 190, 99, 117, 190, 215, 109, 109, 109, 195, 117, 99, 166, 190, 117, 190, 190,
                            190, 209, 119, 209, 99],
    "x": [190, 87, 55, 195, 195, 190, 201, 166, 99, 99, 119, 119, 119, 166, 99, 190, 239, 119, 195, 201, 119, 119, 119,
          119],
    "": [99, 99, 99, 209, 209, 209, 209, 209, 209, 166, 117, 99, 119, 166, 117, 27, 166, 119, 119, 166, 117, 99, 209,
         209],
}


@pytest.fixture(scope="module")
def model() -> Any:
    return small_gpt2()


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def ids(text: str) -> list[int]:
    return list(text.encode()) or [END_OF_TEXT]


def test_greedy_equals_hugging_face(model: Any) -> None:
    """Prompts of all lengths in one batch, the empty one as well, go on as Hugging Face transformers goes on."""
    results = generate(model, list(GOLDEN), max_new_tokens=24)
    assert [list(result.tokens) for result in results] == list(GOLDEN.values())
    assert [result.prompt_token_count for result in results] == [5, 19, 1, 0]
    assert {result.finish for result in results} == {"length"}


def test_the_golden_tokens_are_hugging_faces() -> None:
    """The recorded tokens are what transformers writes today."""
    reason = "compares with Hugging Face transformers on PyTorch; the recorded tokens are tested without them"
    torch = pytest.importorskip("torch", reason=reason)
    transformers = pytest.importorskip("transformers", reason=reason)
    config = transformers.GPT2Config(vocab_size=257, n_positions=POSITIONS, n_embd=32, n_layer=LAYERS, n_head=4,
                                     bos_token_id=END_OF_TEXT, eos_token_id=END_OF_TEXT)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.load_state_dict(hugging_face_state(torch), strict=True)
    for prompt, expected in GOLDEN.items():
        given = torch.tensor([ids(prompt)])
        written = theirs.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=24, do_sample=False,
                                  pad_token_id=END_OF_TEXT)
        assert written[0].tolist()[given.shape[1]:] == expected


def hugging_face_state(torch: Any) -> dict[str, Any]:
    names = {"token_embedding/embeddings": "transformer.wte.weight",
             "position_embedding/embeddings": "transformer.wpe.weight", "attention_norm": "ln_1", "output_norm": "ln_2",
             "attention/qkv": "attn.c_attn", "attention/output": "attn.c_proj", "intermediate": "mlp.c_fc",
             "output": "mlp.c_proj", "final_norm": "transformer.ln_f"}
    kinds = {"gamma": "weight", "beta": "bias", "kernel": "weight", "bias": "bias"}
    state = {}
    for path, value in parameters().items():
        tensor = torch.tensor(value, dtype=torch.float32)
        if path in names:
            state[names[path]] = tensor
            continue
        part, kind = path.rsplit("/", 1)
        block, _, rest = part.partition("/")
        where = f"transformer.h.{block[6:]}.{names[rest]}" if rest else names[part]
        state[f"{where}.{kinds[kind]}"] = tensor
    return state | {"lm_head.weight": state["transformer.wte.weight"]}


def test_greedy_equals_the_best_token_over_the_whole_text(model: Any, reference: Reference) -> None:
    """Token by token the cache gives what computing the whole text again gives, up to the last position."""
    prompts = ["abc", "the quick brown fox jumps over the lazy dog", "q"]
    counts = [20, POSITIONS - 42, POSITIONS]
    results = generate(model, prompts, max_new_tokens=counts)
    for prompt, count, result in zip(prompts, counts, results, strict=True):
        assert list(result.tokens) == reference.greedy(ids(prompt), count)
        assert not result.truncated


def test_a_growing_cache_changes_nothing(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that grows by few places at a time, several times, gives the same tokens."""
    monkeypatch.setattr("zoo.generation.loop._PLACES", 7)
    prompts = ["abc", "To be, or not to be"]
    for prompt, result in zip(prompts, generate(small_gpt2(), prompts, max_new_tokens=[30, 29]), strict=True):
        assert list(result.tokens) == reference.greedy(ids(prompt), 30 if prompt == "abc" else 29)


def test_a_model_in_bfloat16_writes(reference: Reference) -> None:
    """Parameters in 16 bits are read as they are, of one row and of several, with scores near those in 32."""
    model = zoo.build("gpt2", layers=LAYERS, hidden_size=32, heads=4, max_positions=POSITIONS, vocabulary_size=257,
                      dropout=0.0, attention_dropout=0.0, preprocessing=byte_vocabulary(POSITIONS), dtype="bfloat16")
    values = parameters()
    for variable in model.variables:
        assert variable.dtype == "bfloat16"
        variable.assign(values[variable.path])
    for prompts in (["hello"], ["hello", "x"]):
        result = generate(model, prompts, max_new_tokens=6)[0]
        logs = log_softmax(reference.logits(ids("hello") + list(result.tokens)))
        expected = [logs[4 + place, token] for place, token in enumerate(result.tokens)]
        np.testing.assert_allclose(result.scores, expected, atol=0.3)


def test_scores_are_the_models_log_probabilities(model: Any, reference: Reference) -> None:
    """A score is the log-probability before temperature and penalty, whichever token was drawn."""
    result, = generate(model, ["score"], max_new_tokens=12, temperature=1.5, repetition_penalty=1.3, seed=5)
    logits = reference.logits(ids("score") + list(result.tokens))
    expected = [log_softmax(logits)[4 + place, token] for place, token in enumerate(result.tokens)]
    np.testing.assert_allclose(result.scores, expected, atol=1e-3)


def test_a_text_depends_on_its_own_row_alone(model: Any) -> None:
    """Drawn texts are the same alone and among rows of other lengths, options and seeds."""
    rows: dict[str, list[Any]] = {"prompts": ["one", "a much longer second prompt", "3"], "max_new_tokens": [9, 14, 3],
                                  "temperature": [1.0, 0.7, 0.0], "top_k": [0, 20, 5], "top_p": [0.9, 1.0, 1.0],
                                  "repetition_penalty": [1.0, 1.5, 2.0], "seed": [1, -2, 2**63 - 1]}
    together = generate(model, **rows)
    for row in range(3):
        alone, = generate(model, **{name: [values[row]] for name, values in rows.items()})
        assert alone.text == together[row].text
        assert alone.tokens == together[row].tokens


def test_the_seed_decides(model: Any) -> None:
    """The same seed draws the same text again, another one another."""
    first, again, other = (generate(model, ["seed"], max_new_tokens=16, temperature=1.0, seed=seed)[0].tokens
                           for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_stop_string_ends_the_text_before_it(model: Any) -> None:
    """A stop string of the bytes of several tokens is found, in its own row, and is no part of the text."""
    plain, = generate(model, ["hello"], max_new_tokens=24)
    stop = bytes(GOLDEN["hello"][10:12])  # the characters 27 and 15, two tokens
    assert plain.text.encode().find(stop) > 0
    ended, untouched = generate(model, ["hello", "hello"], max_new_tokens=24,
                                stop=[["never", stop.decode()], ["", "never"]])
    assert ended.finish == "stop"
    assert ended.text == plain.text[:plain.text.index(stop.decode())]
    assert list(ended.tokens) == GOLDEN["hello"][:12]
    assert (untouched.tokens, untouched.finish) == (plain.tokens, "length")


def test_the_end_of_text_ends_it(model: Any, reference: Reference) -> None:
    """A row ends where the best token is the end of text, which is no part of it."""
    table = next(variable for variable in model.variables if variable.path == "token_embedding/embeddings")
    before = table.numpy()
    prompt = ids("hello")
    try:
        changed = before.copy()
        # The end of text takes the place of the token that comes sixth.
        changed[END_OF_TEXT] = before[GOLDEN["hello"][5]] * 1.01
        table.assign(changed)
        reference.values["token_embedding/embeddings"] = changed.astype(np.float64)
        expected = reference.greedy(prompt, 24)
        result, = generate(model, ["hello"], max_new_tokens=24)
    finally:
        table.assign(before)
        reference.values["token_embedding/embeddings"] = before.astype(np.float64)
    assert 0 < len(expected) < 24
    assert list(result.tokens) == expected
    assert result.finish == "end_of_text"


def test_no_new_tokens_and_no_prompts(model: Any) -> None:
    """0 new tokens are an empty text, and no prompts no texts."""
    none, some = generate(model, ["abc", "abc"], max_new_tokens=[0, 2])
    assert (none.text, none.tokens, none.finish) == ("", (), "length")
    assert len(some.tokens) == 2
    assert generate(model, ["abc"], max_new_tokens=0)[0].tokens == ()
    assert generate(model, []) == []
    assert score(model, []) == []


def test_a_prompt_loses_its_beginning_where_it_leaves_no_room(model: Any, reference: Reference) -> None:
    """What is kept of a long prompt and the new tokens fill the model's positions, and the result says so."""
    prompt = "0123456789" * 7
    long, fits = generate(model, [prompt, prompt[:39]], max_new_tokens=10)
    kept = prompt[-(POSITIONS + 1 - 10):]
    assert long.truncated
    assert long.prompt_token_count == len(kept) == 39
    assert list(long.tokens) == reference.greedy(ids(kept), 10)
    assert not fits.truncated


def test_score_is_the_log_likelihood(model: Any, reference: Reference) -> None:
    """The sum of the log-probabilities of all tokens but the first, rows of all lengths, cut where declared."""
    texts = ["To be, or not to be", "ab", "a", "", "0123456789" * 6]
    for text, result in zip(texts, score(model, texts), strict=True):
        tokens = ids(text)[:POSITIONS]
        logs = log_softmax(reference.logits(tokens))
        expected = sum(logs[place, token] for place, token in enumerate(tokens[1:]))
        assert result.token_count == len(tokens) - 1
        assert result.log_likelihood == pytest.approx(expected, abs=2e-3)
        assert result.truncated == (len(text) > POSITIONS)
    assert score(model, ["ab"])[0].perplexity == pytest.approx(math.exp(-score(model, ["ab"])[0].log_likelihood))
    assert math.isnan(score(model, ["a"])[0].perplexity)


def test_the_texts_follow_the_parameters(model: Any) -> None:
    """Trained parameters count at once, without a new trace."""
    before = generate(model, ["hello"], max_new_tokens=8)[0]
    bias = next(variable for variable in model.variables if variable.path == "final_norm/beta")
    values = bias.numpy()
    bias.assign(values[::-1])
    try:
        assert generate(model, ["hello"], max_new_tokens=8)[0].tokens != before.tokens
    finally:
        bias.assign(values)
    assert generate(model, ["hello"], max_new_tokens=8)[0].tokens == before.tokens


@pytest.mark.parametrize(("options", "words"), [
    ({"max_new_tokens": POSITIONS + 1}, "`max_new_tokens` must be from 0 to 48. Received: 49"),
    ({"max_new_tokens": [2, -1]}, "`max_new_tokens` must be from 0 to 48. Received: -1"),
    ({"temperature": -0.5}, "`temperature` must be from 0 (always the best token) to 100. Received: -0.5"),
    ({"temperature": float("nan")}, "`temperature` must be from 0 (always the best token) to 100. Received: nan"),
    ({"top_k": -1}, "`top_k` must be from 0 (no limit) on. Received: -1"),
    ({"top_p": 0.0}, "`top_p` must be above 0 and up to 1. Received: 0"),
    ({"repetition_penalty": 0.0}, "`repetition_penalty` must be above 0 and up to 100. Received: 0"),
    ({"stop": ["x" * 129]}, "`stop` must hold strings of at most 128 bytes."),
    ({"stop": [str(number) for number in range(17)]}, "`stop` must hold at most 16 strings per row. Received: 17"),
    ({"seed": [1, 2, 3]}, "`seed` must have one value for all rows or one for each. Received: 3"),
    ({"seed": 2**63}, "`seed` must be a whole number or one for each prompt."),
    ({"top_k": 1.5}, "`top_k` must be a whole number or one for each prompt. Received: 1.5"),
    ({"stop": "end"}, "`stop` must be a sequence of strings."),
])
def test_options_out_of_range_are_refused(model: Any, options: dict[str, Any], words: str) -> None:
    """An option out of its range is an error with its name, its range and what came."""
    with pytest.raises(ArgumentError) as caught:
        generate(model, ["a", "b"], **({"max_new_tokens": 2} | options))
    assert words in str(caught.value)


def test_other_models_and_prompts_are_refused(model: Any) -> None:
    """A model of another task, and one text in place of several, are errors that say what to do."""
    classifier = zoo.build("gpt2", task="classification", layers=1, hidden_size=8, heads=2, max_positions=POSITIONS,
                           vocabulary_size=257, num_classes=2, preprocessing=zoo.record_of(model).preprocessing)
    with pytest.raises(ArgumentError, match="built for the task 'language_model'"):
        generate(classifier, ["a"])
    with pytest.raises(ArgumentError, match=r"`prompts` must be a sequence of texts.*write \[text\]"):
        generate(model, "a")
