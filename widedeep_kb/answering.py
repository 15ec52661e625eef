"""How a memory answers questions: prompts, batches of the LLM, confidence and evidence.

In: raw questions and a `KnowledgeMemory`. Out: `MemoryAnswer`s. Letters: B questions, R rows of a question.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteriaList

from widedeep_kb.answers import Evidence, MemoryAnswer
from widedeep_kb.decoding import ending_of
from widedeep_kb.following import attention_shares, follow
from widedeep_kb.lm import AnswerLineEnd, answer_tokens, end_ids, left_pad
from widedeep_kb.memory.recalled import Recall
from widedeep_kb.memory.signs import AnswerSigns, answer_signs
from widedeep_kb.memory.stepping import MemorySteps, check_generation, why_not_plain
from widedeep_kb.memory.trace import GreedyTrace, StepTrace
from widedeep_kb.phrasings import ask_prompt

if TYPE_CHECKING:
    from widedeep_kb.memory.hooks import Binding
    from widedeep_kb.model import KnowledgeMemory


@dataclass(frozen=True)
class AskOptions:
    """How questions are answered.

    Attributes:
        max_new_tokens: longest answer.
        batch_size: questions in one call of the LLM.
        use_memory: False = the bare LLM answers.
        hops: most facts that an answer may take in a row, each about the object of the one before (see `following`).
        chaining: "rewrite" = read the first fact, then ask what is left; "together" = read the rows of both hops in one
            pass, for a reader trained on such questions; two hops at most.
        as_of: answer from the facts that hold on this day; None: today, see `memory.validity`.
        abstain: precision of answering, 0 to 1: answers that are too doubtful for it are "unknown" (see
            `Calibration.threshold_for`); None = every question is answered.

    Raises:
        ValueError: a number below 1, or a precision that is none.
    """

    max_new_tokens: int = 64
    batch_size: int = 32
    use_memory: bool = True
    hops: int = 1
    chaining: Literal["rewrite", "together"] = "rewrite"
    as_of: date | None = None
    abstain: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size", "hops"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.chaining not in ("rewrite", "together"):
            raise ValueError(f"chaining must be 'rewrite' or 'together', got {self.chaining!r}")
        if self.abstain is not None and not 0.0 < self.abstain < 1.0:
            raise ValueError(f"a precision of answering lies between 0 and 1, not at {self.abstain}")


def answer_many(memory: KnowledgeMemory, questions: Sequence[str], options: AskOptions) -> list[MemoryAnswer]:
    """Answer questions greedily, in order; batches hold prompts of similar length.

    Raises:
        ValueError: `options.abstain` is a precision for which the memory's reader has no threshold.
    """
    if options.abstain is not None:
        threshold = memory.reader.calibration.threshold_for(options.abstain)
        answers = answer_many(memory, questions, replace(options, abstain=None))
        return [answer.or_unknown(threshold) for answer in answers]
    if options.hops > 1 and options.use_memory and options.chaining == "rewrite":
        return answer_over_hops(memory, questions, options)
    encoded = memory.lm.encode([ask_prompt(q) for q in questions])
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    answers: dict[int, MemoryAnswer] = {}
    for start in range(0, len(order), options.batch_size):
        chosen = order[start : start + options.batch_size]
        batch = answer_batch(memory, [questions[i] for i in chosen], [encoded[i] for i in chosen], options=options)
        answers.update(zip(chosen, batch, strict=True))
    return [answers[i] for i in range(len(questions))]


def answer_over_hops(memory: KnowledgeMemory, questions: Sequence[str], options: AskOptions) -> list[MemoryAnswer]:
    """Answer what is left to be asked once the first facts of each question are followed, in order."""
    started = time.perf_counter()
    most = {"num_hops": options.hops - 1, "batch_size": options.batch_size}
    followed = follow(memory, questions, as_of=options.as_of, **most)
    spent = 1000 * (time.perf_counter() - started) / max(1, len(questions))
    answers = answer_many(memory, [one.text for one in followed], replace(options, hops=1))
    return [
        replace(
            answer,
            evidence=(*answer.evidence, *one.facts),
            chain=(*one.facts, *answer.evidence[:1]) if one.facts else (),
            prompt_tokens=answer.prompt_tokens + one.prompt_tokens,
            latency_ms=answer.latency_ms + spent,
        )
        for one, answer in zip(followed, answers, strict=True)
    ]


@torch.inference_mode()
def answer_batch(
    memory: KnowledgeMemory, questions: list[str], rows: list[list[int]], *, options: AskOptions
) -> list[MemoryAnswer]:
    """Answer B questions, whose prompts are token ids `rows`, in one call of the LLM."""
    started = time.perf_counter()
    hops = options.hops if options.chaining == "together" else 1
    binding, recall = memory.binding(questions, use_memory=options.use_memory, as_of=options.as_of, hops=hops)
    padded = left_pad(rows, pad_id=memory.lm.tokenizer.pad_token_id)
    input_ids, attention_mask = (tensor.to(memory.lm.device) for tensor in padded)
    binding = memory.judged(binding, input_ids, attention_mask=attention_mask)
    check_generation(memory.generation)
    write = write_by_steps if memory.generation == "cuda_graph" else write_by_transformers
    output, trace = write(memory, binding, input_ids, attention_mask, max_new_tokens=options.max_new_tokens)
    new = [answer_tokens(memory.lm, row) for row in output[:, input_ids.shape[1] :].tolist()]
    steps = [max(1, min(len(row) + 1, trace.num_steps)) for row in new]
    texts = [memory.lm.tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in new]
    evidence = evidence_of(recall, trace.mass(steps, num_adapters=len(memory.reader.adapters)))
    signs = signs_of(memory, recall, trace, steps=steps, questions=questions, texts=texts, evidence=evidence)
    latency = 1000 * (time.perf_counter() - started) / len(rows)
    chains = chains_of(recall, evidence)
    return [
        MemoryAnswer(
            text=texts[i],
            confidence=confidence,
            evidence=evidence[i],
            prompt_tokens=len(rows[i]),
            generated_tokens=len(new[i]),
            latency_ms=latency,
            chain=chains[i],
            signs=signs[i],
        )
        for i, confidence in enumerate(memory.reader.calibration.probabilities(signs))
    ]


def write_by_transformers(
    memory: KnowledgeMemory, binding: Binding, input_ids: Tensor, attention_mask: Tensor, *, max_new_tokens: int
) -> tuple[Tensor, GreedyTrace]:
    """Greedy answers behind prompts [B, T], [B, T + N], and what writing them looked like."""
    lm, trace = memory.lm, GreedyTrace()
    with memory.hooks.bind(replace(binding, observe=trace.observe, needs_weights=True)):
        output = lm.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=end_ids(lm),
            pad_token_id=lm.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([trace]),
            stopping_criteria=StoppingCriteriaList([AnswerLineEnd(lm, num_prompt_tokens=input_ids.shape[1])]),
        )
    return output, trace


def write_by_steps(
    memory: KnowledgeMemory, binding: Binding, input_ids: Tensor, attention_mask: Tensor, *, max_new_tokens: int
) -> tuple[Tensor, StepTrace]:
    """As `write_by_transformers`, by steps in fixed buffers, which a GPU captures.

    Raises:
        ValueError: the LLM or the memory cannot be decoded so.
    """
    lm = memory.lm
    options = {"attention_mask": attention_mask, "max_new_tokens": max_new_tokens, "do_sample": False}
    if reason := why_not_plain(memory.hooks, binding, options):
        raise ValueError(f"generation='cuda_graph' cannot be used: {reason}")
    ending = ending_of(lm, max_new_tokens=max_new_tokens, at_line_break=True)
    reads = binding.rows is not None
    attachment = MemorySteps(memory.hooks, binding, is_observed=True) if reads else None
    traced = memory.decoder.generate_traced(input_ids, attention_mask, ending=ending, attachment=attachment)
    return traced.output_ids, StepTrace(traced)


def signs_of(
    memory: KnowledgeMemory,
    recall: Recall,
    trace: GreedyTrace | StepTrace,
    *,
    steps: Sequence[int],
    questions: Sequence[str],
    texts: Sequence[str],
    evidence: Sequence[Sequence[Evidence]],
) -> list[AnswerSigns]:
    """What the answers `texts` of `steps` tokens to B questions show, see `answer_signs`."""
    num_adapters = len(memory.reader.adapters)
    shares, first_shares = (
        attention_shares(recall, trace.mass(own, num_adapters=num_adapters)) for own in (steps, [1] * len(steps))
    )
    return answer_signs(
        recall,
        log_probabilities=trace.token_log_probabilities(steps),
        shares=shares,
        first_shares=first_shares,
        questions=questions,
        texts=texts,
        evidence=evidence,
        word_vectors=memory.lm.word_vectors,
    )


def chains_of(recall: Recall, evidence: Sequence[Sequence[Evidence]]) -> list[tuple[Evidence, ...]]:
    """For each question, the first and the second fact of its best hop that the adapters looked at most; or nothing."""
    if not any(recall.hops):
        return [()] * len(evidence)
    ordinals = np.unique([ordinal for hops in recall.hops for hop in hops for ordinal in (hop.first, *hop.seconds)])
    fact_ids = dict(zip(ordinals.tolist(), recall.catalogue.columns_for(ordinals, ["fact_id"])["fact_id"], strict=True))
    chains = []
    for hops, facts in zip(recall.hops, evidence, strict=True):
        seen = {fact.fact_id: fact for fact in reversed(facts)}
        pairs = [(fact_ids[hop.first], fact_ids[second]) for hop in hops for second in hop.seconds.tolist()]
        read = [(seen[one], seen[other]) for one, other in pairs if one in seen and other in seen]
        chains.append(max(read, key=lambda pair: pair[1].attention, default=()))
    return chains


def evidence_of(recall: Recall, mass: Tensor | None, *, least: float = 0.01) -> list[tuple[Evidence, ...]]:
    """Facts with at least `least` of the attention, most first, for each question."""
    kept = [
        sorted(((o, share) for o, share in by_fact.items() if share >= least), key=lambda pair: -pair[1])
        for by_fact in attention_shares(recall, mass)
    ]
    asked = np.unique(np.array([ordinal for row in kept for ordinal, _ in row], dtype=np.int64))
    names = ["fact_id", "subject", "relation", "object", "source"]
    facts_by_ordinal = recall.catalogue.columns_for(asked, names).to_dicts()
    known = dict(zip(asked.tolist(), facts_by_ordinal, strict=True))
    return [
        tuple(Evidence(**known[o], attention=round(total, 4), is_guessed=is_guessed) for o, total in row)
        for row, is_guessed in zip(kept, recall.is_guessed.tolist(), strict=True)
    ]


def user_words(prompt: str) -> str:
    """The last user turn of a ChatML prompt, or all of a plain prompt."""
    turns = re.findall(r"<\|im_start\|>user\n(.*?)(?:<\|im_end\|>|$)", prompt, flags=re.DOTALL)
    return turns[-1] if turns else prompt
