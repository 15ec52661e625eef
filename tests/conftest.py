"""Tiny random language models and a tokenizer for every test, built in code: no download, no GPU."""

# ruff: noqa: E402

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton: its kernels then run on the CPU

import transformers
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.lm import FrozenLM, LMIdentity

settings.register_profile("shared_cores", deadline=None)  # a busy machine is no failure
settings.load_profile("shared_cores")

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "gemma", "phi")

# ChatML without a default system turn, so that a prompt holds nothing but what the caller gave.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

TRAINING_TEXT = (
    "The capital of France is Paris. What is the capital of France?",
    "The population of Lisbon is 517802. How many people live in Lisbon?",
    "Question: What is the time zone of Porto?\nAnswer: Europe/Lisbon",
    "The atomic number of Iron is 26. The symbol of Gold is Au.",
    "The first name of the author is Ada. The country of Berlin is Germany.",
    "Complete the statement: the official language of Brazil is Portuguese.",
)

_ROPE = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "hidden_size": 64}
_CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("LlamaConfig", _ROPE),
    "qwen2": ("Qwen2Config", _ROPE),
    "qwen3": ("Qwen3Config", {**_ROPE, "head_dim": 16}),
    "gpt2": ("GPT2Config", {"n_embd": 64, "n_head": 4, "n_positions": 512}),
    "gpt_neox": ("GPTNeoXConfig", {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}),
    "gemma": ("GemmaConfig", {**_ROPE, "head_dim": 16}),
    "phi": ("PhiConfig", {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}),
}


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 entries with a ChatML template; digits are split one by one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING_TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def tiny_causal_lm(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., PreTrainedModel]:
    """Factory `(architecture, *, num_layers=4, seed=0, **config) -> model`: a fresh, seeded, random model a call.

    The model is float32 on CPU, in eval mode, without gradients, with hidden size 64. Further keywords go to the
    architecture's configuration, for instance `tie_word_embeddings=False`.
    """

    def build(architecture: str, *, num_layers: int = 4, seed: int = 0, **config: object) -> PreTrainedModel:
        config_name, settings = _CONFIGS[architecture]
        specials = {"bos_token_id": tiny_tokenizer.bos_token_id, "eos_token_id": tiny_tokenizer.eos_token_id}
        values = {
            "vocab_size": len(tiny_tokenizer),
            "num_hidden_layers": num_layers,
            "max_position_embeddings": 512,
            "pad_token_id": tiny_tokenizer.pad_token_id,
            **specials,
            **settings,
            **config,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config_name)(**values))
        return model.eval().requires_grad_(False)

    return build


@pytest.fixture
def tiny_llama(tiny_causal_lm: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """A fresh tiny Llama of 4 layers: float32, CPU, eval mode, no gradients."""
    return tiny_causal_lm("llama")


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each supported architecture in turn."""
    return request.param


@pytest.fixture(scope="session")
def tiny_frozen_lm(
    tiny_causal_lm: Callable[..., PreTrainedModel], tiny_tokenizer: PreTrainedTokenizerFast
) -> Callable[..., FrozenLM]:
    """Factory `(architecture, **config) -> FrozenLM`: a fresh tiny model, whose revision is its architecture."""

    def build(architecture: str = "llama", **config: object) -> FrozenLM:
        model = tiny_causal_lm(architecture, **config)
        return FrozenLM(model, tiny_tokenizer, identity=LMIdentity(f"tiny-{architecture}", architecture))

    return build
