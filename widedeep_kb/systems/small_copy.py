"""A smaller LLM with the same tokenizer: some layers of the frozen LLM, healed on what the LLM itself says.

Letters: B texts, T tokens, V vocabulary.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from widedeep_kb.likelihood import right_pad
from widedeep_kb.lm import FrozenLM, decoder_layers, end_ids, left_pad
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.training_step import TrainingStep, rounded_up
from widedeep_kb.systems.tuned import copy_of, in_float32, schedule
from widedeep_kb.word_statistics import common_words

_NUM_PROMPTS = 512
_NEW_TOKENS = 32


def kept_layers(num_layers: int, *, every: int) -> list[int]:
    """Each `every`-th layer from the first, and the last."""
    return sorted({*range(0, num_layers, every), num_layers - 1})


def pruned(lm: FrozenLM, *, every: int) -> PreTrainedModel:
    """A copy of the LLM with some of its layers, float32, ready to be trained.

    Raises:
        ValueError: `every` is below 1.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    model = copy_of(lm).requires_grad_(True)
    layers = decoder_layers(model)
    kept = kept_layers(len(layers), every=every)
    config = model.config.get_text_config()
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in kept]
    config.num_hidden_layers = len(kept)
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is layers:
                setattr(parent, name, nn.ModuleList(layers[i] for i in kept))
    for index, layer in enumerate(decoder_layers(model)):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = index
    return model


def heal(
    model: PreTrainedModel,
    lm: FrozenLM,
    *,
    seed: int,
    num_steps: int = 300,
    lr: float = 5e-4,
    batch_size: int = 16,
    max_seconds: float | None = None,
) -> dict[str, float]:
    """Train a pruned model to say what the LLM says: Kullback-Leibler divergence on texts sampled from the LLM.

    Args:
        model: trained in place.
        lm: the teacher.
        seed: of the texts.
        num_steps, lr, batch_size: of AdamW.
        max_seconds: end after so long, sampling included.

    Returns:
        `steps`, `seconds`, `divergence_first`, `divergence_last` (nats a token, means of ten steps).
    """
    started, device = time.perf_counter(), lm.device
    most = None if max_seconds is None else max_seconds / 2
    texts = itertools.cycle(sampled_texts(lm, seed=seed, max_seconds=most))
    pad_id = lm.tokenizer.pad_token_id

    def divergence_of(ids: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            wanted = lm.model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
        logits = model(input_ids=ids, use_cache=False).logits  # nothing is read behind a text's end: no mask
        each = F.kl_div(logits.float().log_softmax(-1), wanted, reduction="none", log_target=True).sum(-1)
        return (each * mask).sum() / mask.sum()

    take_step = TrainingStep(divergence_of, list(model.parameters()))
    model.train()
    divergences: list[Tensor] = []
    for step in range(num_steps):
        spent = 0.0 if max_seconds is None else (time.perf_counter() - started) / max_seconds
        if spent >= 1.0 and divergences:
            break
        rows = list(itertools.islice(texts, batch_size))
        ids, mask = right_pad(rows, pad_id=pad_id)
        more = rounded_up(ids.shape[1]) - ids.shape[1]
        batch = (F.pad(ids, (0, more), value=pad_id).to(device), F.pad(mask, (0, more)).to(device))
        divergences.append(take_step(*batch, lr=lr * schedule(max(step / num_steps, spent))))
    model.eval()
    values = torch.stack(divergences).tolist()
    return {
        "steps": len(values),
        "seconds": round(time.perf_counter() - started, 2),
        "divergence_first": sum(values[:10]) / len(values[:10]),
        "divergence_last": sum(values[-10:]) / len(values[-10:]),
    }


@torch.no_grad()
def sampled_texts(
    lm: FrozenLM, *, seed: int, batch_size: int = 32, max_seconds: float | None = None
) -> list[list[int]]:
    """Token rows that the LLM writes behind questions about common words: the question, and no more than its end."""
    started, found, ends = time.perf_counter(), [], set(end_ids(lm))
    with torch.random.fork_rng(devices=[lm.device] if lm.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for prompts in _prompts(batch_size):
            rows = lm.encode(prompts)
            ids, mask = (part.to(lm.device) for part in left_pad(rows, pad_id=lm.tokenizer.pad_token_id))
            written = lm.model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                max_new_tokens=_NEW_TOKENS,
                eos_token_id=list(ends),
                pad_token_id=lm.tokenizer.pad_token_id,
            )
            for row, new in zip(rows, written[:, ids.shape[1] :].tolist(), strict=True):
                end = next((i + 1 for i, token in enumerate(new) if token in ends), len(new))
                found.append([*row, *new[:end]])
            if max_seconds is not None and time.perf_counter() - started > max_seconds:
                break
    return found


def _prompts(batch_size: int) -> Iterator[Sequence[str]]:
    shapes = ("What is {}?", "Tell me about {}.", "Who made {}?", "Where is {}?")
    words = common_words(4 * _NUM_PROMPTS)[_NUM_PROMPTS::3][:_NUM_PROMPTS]
    texts = [ask_prompt(shapes[i % len(shapes)].format(word)) for i, word in enumerate(words)]
    for start in range(0, len(texts), batch_size):
        yield texts[start : start + batch_size]


def tuned_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A float32 copy of a small model, ready to be trained."""
    return in_float32(copy.deepcopy(model)).requires_grad_(True)
