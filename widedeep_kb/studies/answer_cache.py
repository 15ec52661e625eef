"""Answers kept by everything that they depend on: what was generated once from the same inputs is not generated again.

In: a memory and questions. Out: texts, as `ask_many` gives them. The unit is a batch, since padding and the shapes of
the kernels depend on all of it. Its key is a digest of the prompts' tokens in their order, the bytes of the rows that
the memory brings with their weights, the weights of the reader, the hash of the LLM's file, and what computes: device,
dtype, threads, versions. Where a batch brings no row and no deep memory is read, the reader has no part in it. Some
batches, drawn at random, are generated once more all the same and compared.

Letters: Q questions.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor

from widedeep_kb.answering import AskOptions, ask_prompt
from widedeep_kb.model import KnowledgeMemory

CHECKED_SHARE = 0.02
_SECONDS = 5.0  # between reports


@dataclass
class AnswerCounts:
    """Numbers of answers: generated, taken from the cache, generated once more, and of these, other than before."""

    generated: int = 0
    taken: int = 0
    repeated: int = 0
    differing: int = 0


class AnswerCache:
    """Answers of memories over one LLM.

    Args:
        path: SQLite file in which batches are kept for the next run; None: they are kept as long as this lives.
        report: called every few seconds with `asked` (a name), `done`, `of` and the counts.
        checked_share: of the batches, drawn at random, is generated once more.
        seed: of that draw.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        report: Callable[..., None] | None = None,
        checked_share: float = CHECKED_SHARE,
        seed: int = 0,
    ) -> None:
        self._database = sqlite3.connect(path or ":memory:")
        self._database.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, texts TEXT NOT NULL)")
        self._report, self._reported = report, time.monotonic()
        self._share, self._random = checked_share, random.Random(seed)
        self.counts = AnswerCounts()

    def ask(
        self, memory: KnowledgeMemory, questions: Sequence[str], options: AskOptions, *, name: str = "questions"
    ) -> list[str]:
        """The texts of `memory.ask_many(questions, options)`, in order.

        Args:
            memory: answers.
            questions: Q raw texts.
            options: one hop, no abstaining.
            name: of this call, in reports.

        Raises:
            ValueError: other options.
        """
        if options.hops > 1 or options.abstain is not None:
            raise ValueError("answers over hops, and those that may be 'unknown', are not kept")
        encoded = memory.lm.encode([ask_prompt(question) for question in questions])
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # as `answer_many` has it
        parts = [order[start : start + options.batch_size] for start in range(0, len(order), options.batch_size)]
        again = [self._random.random() < self._share for _ in parts]
        common, reader = _circumstances(memory, options), _reader_digest(memory)
        texts: dict[int, str] = {}
        for number, part in enumerate(parts):
            asked = [questions[i] for i in part]
            key = digest([common, *_inputs(memory, asked, options, reader=reader), *_tokens(encoded[i] for i in part)])
            texts.update(zip(part, self._batch(key, memory, asked, options, is_repeated=again[number]), strict=True))
            self._tell(name, done=len(texts), of=len(questions), is_last=number + 1 == len(parts))
        return [texts[i] for i in range(len(questions))]

    def _batch(
        self, key: str, memory: KnowledgeMemory, questions: list[str], options: AskOptions, *, is_repeated: bool
    ) -> list[str]:
        """The answers to one batch."""
        generate = lambda: [answer.text for answer in memory.ask_many(questions, options)]  # noqa: E731
        found = self._database.execute("SELECT texts FROM answers WHERE key = ?", (key,)).fetchone()
        if found is None:
            texts = generate()
            self.counts.generated += len(texts)
            with self._database:
                self._database.execute("INSERT INTO answers VALUES (?, ?)", (key, json.dumps(texts)))
        else:
            texts = json.loads(found[0])
            self.counts.taken += len(texts)
        if is_repeated:
            self.counts.repeated += len(texts)
            self.counts.differing += sum(one != other for one, other in zip(texts, generate(), strict=True))
        return texts

    def _tell(self, name: str, *, done: int, of: int, is_last: bool) -> None:
        now = time.monotonic()
        if self._report is not None and (is_last or now - self._reported >= _SECONDS):
            self._reported = now
            self._report(asked=name, done=done, of=of, **asdict(self.counts))


def digest(parts: Iterable[bytes]) -> str:
    """A hash of byte strings that tells where each ends."""
    made = hashlib.blake2b(digest_size=20)
    for part in parts:
        made.update(len(part).to_bytes(8, "little"))
        made.update(part)
    return made.hexdigest()


def _circumstances(memory: KnowledgeMemory, options: AskOptions) -> bytes:
    """What computes, and how many tokens at most."""
    lm, device = memory.lm, memory.lm.device
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    kind = (lm.identity.revision, str(lm.embedding_weight.dtype), str(device), chip, torch.get_num_threads())
    return repr((*kind, torch.__version__, transformers.__version__, options.max_new_tokens)).encode()


def _inputs(memory: KnowledgeMemory, questions: list[str], options: AskOptions, *, reader: bytes) -> list[bytes]:
    """What the memory adds to the prompts."""
    binding, _ = memory.binding(questions, use_memory=options.use_memory, as_of=options.as_of)
    is_deep = binding.use_deep and memory.reader.has_deep
    naming = [] if binding.naming is None else [_bytes_of(binding.naming)]
    if binding.rows is None:
        return [b"no rows", reader, *naming] if is_deep else [b"no memory"]
    binding.settle()
    read = map(_bytes_of, (binding.rows, binding.weights, binding.wording))
    return [b"deep" if is_deep else b"wide", reader, *naming, *read]


def _reader_digest(memory: KnowledgeMemory) -> bytes:
    """A hash of the reader: settings and all weights, those of its gate too."""
    parts = [repr(memory.reader.config).encode()]
    for name, tensor in memory.reader.state_dict().items():
        parts += [name.encode(), _bytes_of(tensor)]
    return digest(parts).encode()


def _bytes_of(tensor: Tensor) -> bytes:
    """Type, shape and contents."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return repr((tensor.dtype, tuple(tensor.shape))).encode() + flat.view(torch.uint8).numpy().tobytes()


def _tokens(rows: Iterable[list[int]]) -> list[bytes]:
    return [repr(row).encode() for row in rows]
