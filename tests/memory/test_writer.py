"""The writer: rows against a float64 reference, and the states it takes from the LLM's lower layers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import EncodedFacts, encode_facts
from widedeep_kb.memory.writer import Writer, fact_features, lower_layer_states, token_features

MakeLM = Callable[..., FrozenLM]
PREFIXES = (
    "The capital of France is",
    "The port of Aurora is",
    "The é of 東京 is",
    "A",
    "The official language of Brazil is",
)


def encoded(lm: FrozenLM, num_facts: int = 5) -> EncodedFacts:
    """Facts with prefixes of different lengths."""
    prefixes = [PREFIXES[i % 5] + " so" * (i // 5) for i in range(num_facts)]
    return encode_facts(lm.tokenizer, prefixes, objects=["12345678901"] * num_facts, end_id=lm.newline_id)


def normed(vector: Tensor) -> Tensor:
    """LayerNorm without weights, in float64."""
    vector = vector.double()
    return (vector - vector.mean()) / (vector.var(unbiased=False) + 1e-5).sqrt()


def test_rows_equal_the_slow_reference() -> None:
    torch.manual_seed(0)
    hidden, num_layers, width, vocabulary = 6, 2, 5, 20
    writer, table = Writer(hidden, num_layers, slot_width=width), torch.randn(vocabulary, hidden)
    features = torch.randn(3, num_layers * hidden)
    tokens, cues = torch.randint(-1, vocabulary, (3, 8)), torch.randint(-1, vocabulary, (3, 8, 3))
    starts = torch.tensor([0, 8, 64])
    rows = writer(features, tokens, chunk_cues=cues, chunk_starts=starts, embedding_weight=table)
    assert rows.shape == (3, writer.row_width) == (3, 8 * 2 * width)
    p = {name: parameter.detach().double() for name, parameter in writer.named_parameters()}

    def embed(token: Tensor) -> Tensor:
        return normed(table[token]) if token >= 0 else torch.zeros(hidden, dtype=torch.float64)

    for r in range(3):
        states = torch.cat([normed(part) for part in features[r].split(hidden)])
        semantic = p["semantic.weight"] @ states + p["semantic.bias"]
        for s in range(8):
            slot = rows[r].view(8, 2 * width)[s].double()
            if tokens[r, s] < 0:
                assert not slot.any()
                continue
            cue = p["cues.weight"] @ torch.cat([embed(c) for c in cues[r, s]])
            key = normed(semantic + cue + p["position"][starts[r] + s])
            value = normed(p["value.weight"] @ embed(tokens[r, s]) + p["value.bias"])
            torch.testing.assert_close(slot, torch.cat([key, value]), atol=1e-5, rtol=1e-4)


def test_no_token_has_no_features() -> None:
    features = token_features(torch.tensor([-1, 0]), torch.randn(4, 6))
    assert not features[0].any()
    assert features[1].any()


def test_states_equal_those_of_the_whole_llm(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    facts = encoded(lm)
    features = fact_features(lm, facts, layers=(0, 2))
    for fact, prefix in enumerate(PREFIXES):
        ids = torch.tensor([lm.tokenizer.encode(prefix, add_special_tokens=False)])
        states = lm.decoder(input_ids=ids, output_hidden_states=True).hidden_states
        whole = torch.cat([states[1][0, -1], states[3][0, -1]])
        torch.testing.assert_close(features[fact], whole, atol=1e-5, rtol=1e-4)


def test_layers_above_the_highest_are_not_run(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm, ran = tiny_frozen_lm(architecture), []
    for i, layer in enumerate(lm.layers):
        layer.register_forward_hook(lambda *_, i=i: ran.append(i))
    lower_layer_states(lm, torch.tensor([[5, 6, 7]]), lengths=torch.tensor([3]), layers=(0, 1))
    assert set(ran) <= {0, 1}
    hooks = [len(layer._forward_hooks) for layer in lm.layers]
    assert hooks == [1] * len(lm.layers)  # ours are gone


def test_features_do_not_depend_on_the_batch(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    facts, done = encoded(lm, 23), []
    large = fact_features(lm, facts, layers=(1,), progress=done.append)
    small = fact_features(lm, facts, layers=(1,), tokens_per_batch=1)
    assert sum(done) == 23
    torch.testing.assert_close(large, small, atol=1e-5, rtol=1e-5)


def test_no_facts_give_no_features(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm()
    facts = encode_facts(lm.tokenizer, [], objects=[], end_id=lm.newline_id)
    assert fact_features(lm, facts, layers=(0, 1)).shape == (0, 2 * lm.hidden_size)


def test_reader_training_needs_neither_torchrec_nor_fbgemm() -> None:
    parts = ("memory.writer", "memory.adapter", "memory.deep", "memory.hooks", "memory.reader", "training.lit_module")
    imports = ", ".join(f"widedeep_kb.{part}" for part in parts)
    code = f"import sys, {imports}; print({{m.split('.')[0] for m in sys.modules}} & {{'torchrec', 'fbgemm_gpu'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
