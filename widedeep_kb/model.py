"""KnowledgeMemory: a frozen LLM with a memory of its user's facts.

    memory = KnowledgeMemory.from_pretrained()          # the default LLM and its shipped reader
    memory.write([{"subject": "Aurora", "relation": "port", "object": "8443"}])
    memory.ask("Which port does Aurora use?").text
    memory.generate(**tokenizer("The port of Aurora is", return_tensors="pt"))

Letters: B questions, T tokens, R rows of a question, C facts of a question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast

from widedeep_kb.answering import AskOptions, answer_many, user_words
from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.decoding import GreedyDecoder
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.changing import FolderLock
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.encoding import EncodedFacts, encode_frame
from widedeep_kb.memory.folder import empty_store, open_folder, save_folder, shipped_reader
from widedeep_kb.memory.gate import mass_at, prompt_ends
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.journal import Entry, Journal
from widedeep_kb.memory.reader import Reader
from widedeep_kb.memory.recalled import Recall
from widedeep_kb.memory.replaying import entry_of, entry_of_erasing
from widedeep_kb.memory.stepping import OTHER_FIRST_PASS, Generation, generate_with
from widedeep_kb.memory.store import FactStore
from widedeep_kb.memory.training_record import TrainingRecord
from widedeep_kb.memory.writer import fact_features
from widedeep_kb.schema import facts_from_records, normalise_facts, read_facts


@dataclass(frozen=True)
class WriteReport:
    """What a write did: numbers of facts added, removed (replaced) and left as they were."""

    added: int
    removed: int
    unchanged: int


class KnowledgeMemory:
    """A frozen LLM, a trained reader and a store of facts.

    Args:
        lm: the frozen LLM.
        reader: trained for this LLM.
        store: facts with rows of this reader; None = empty.
        use_deep: read the reader's deep memory too (if it has one).
        use_wide: read the rows of the facts a text is about; False = as if no fact were found.
        use_semantic: where exact keys find no subject, guess which stored name is meant; evidence says so.
        use_gate: leave questions that hold a stored name but ask for nothing stored to the LLM alone, as the reader's
            gate judges, and read the deep memory only where rows are read or a stored relation is named in full; False
            = every question is about the facts, none is shut out.

    Raises:
        ValueError: the reader was trained for another LLM.
    """

    def __init__(
        self,
        lm: FrozenLM,
        reader: Reader,
        *,
        store: FactStore | None = None,
        use_deep: bool = True,
        use_wide: bool = True,
        use_semantic: bool = False,
        use_gate: bool = True,
    ) -> None:
        if reader.config.llm_revision != lm.identity.revision:
            known, given = reader.config, lm.identity
            raise ValueError(
                f"the reader belongs to the LLM {known.llm_name!r} ({known.llm_revision[:12]}), "
                f"not to {given.name!r} ({given.revision[:12]})"
            )
        self.lm, self.reader = lm, reader.to(lm.device).eval()
        self.store = store if store is not None else empty_store(lm, reader)
        self.use_deep, self.use_wide, self.use_semantic, self.use_gate = use_deep, use_wide, use_semantic, use_gate
        self.versions: dict[str, int] = {}  # folders' states that it holds or has changed, and the last journal entry
        self.changing = threading.RLock()  # held by whoever changes or saves the facts
        self.journal: Journal | None = None  # gets every change before it is made, see `live`
        self.record = TrainingRecord()  # of trainings, see `training.exact_erasing`
        self.hooks = MemoryHooks(lm, reader)
        self.decoder = GreedyDecoder(lm)
        self.generation: Generation = "auto"  # see `generate`; `ask` writes by steps where it is "cuda_graph"

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path | None = None,
        *,
        llm: str | FrozenLM | None = None,
        reader: str | Path | Reader | None = None,
        device: str | torch.device | None = None,
        gpu_row_bytes: int | None = None,
        row_format: str = "fp16",
        row_device: str | torch.device | None = None,
    ) -> KnowledgeMemory:
        """Open a memory folder, or start an empty memory.

        Args:
            folder: a folder written by `save`; None for an empty memory.
            llm: Hugging Face id, path or a loaded LLM; default: the folder's, or SmolLM2-135M-Instruct.
            reader: folder of a reader or a reader; default: the memory's own, or the one shipped for the LLM.
            device, row_device: of the LLM, default: the GPU where there is one; of the rows, default: beside the LLM.
            gpu_row_bytes: GPU memory for rows (see `FactStore`); default: all rows are kept beside the LLM.
            row_format: of an empty memory's rows: "fp32", "fp16", "bf16", "int8", "int4" or "compact".

        Raises:
            ValueError: no such folder, a damaged one, or one of another LLM or reader; `gpu_row_bytes` with no GPU.
        """
        stored = read_config(Path(folder)) if folder is not None else None
        places = {"gpu_row_bytes": gpu_row_bytes, "row_device": row_device}
        name = llm if llm is not None else (stored.llm_name if stored else None)
        lm = name if isinstance(name, FrozenLM) else load_lm(name, device=device)
        if stored:
            return open_folder(stored.folder, lm, reader=reader, make=cls, **places)
        chosen = reader if isinstance(reader, Reader) else Reader.load(Path(reader) if reader else shipped_reader(lm))
        return cls(lm, chosen, store=empty_store(lm, chosen, row_format=row_format, **places))

    def save(self, folder: str | Path, *, overwrite: bool = False, lock: FolderLock | None = None) -> None:
        """Write the memory to `folder`, made if need be: atomically, an interrupted save leaves the former state.

        Args:
            overwrite: replace whatever memory is there; otherwise only the state that was opened or last saved.
            lock: the caller's lock on the folder (see `memory.changing`); default: taken for this save.

        Raises:
            ValueError: another process is changing the folder or has saved there since, or it is no memory folder.
        """
        save_folder(self, Path(folder), overwrite=overwrite, lock=lock)

    def write(
        self,
        facts: pl.DataFrame | Iterable[Mapping] | str | Path,
        *,
        mode: Literal["replace", "extend"] = "replace",
        progress: Callable[[int], None] | None = None,
    ) -> WriteReport:
        """Insert facts, with no training; values of a property replace its former ones unless mode is "extend".

        All of them or none: an error or an interrupt leaves the memory as it was.

        Args:
            facts: a facts frame, records, or a parquet, jsonl or csv file.
            mode: see above.
            progress: called with the number of facts encoded since the last call.

        Raises:
            ValueError: a fact is malformed, its value is longer than 64 tokens, or its subject has no word.
        """
        checked = as_facts(facts)
        with self.changing:
            changes = self.store.preview(checked, mode=mode)
            rows, encoded = self.rows_for(changes.added_rows, progress=progress)
            rows = self.store.table.storable(rows, num_rows=int(encoded.num_rows.sum()))
            with self._journaled(lambda: entry_of(changes, rows, num_rows=encoded.num_rows)):
                self.store.change(changes, rows, num_rows=encoded.num_rows)
        return WriteReport(len(changes.added), len(changes.removed), changes.unchanged)

    @torch.no_grad()
    def rows_for(
        self, facts: pl.DataFrame, *, progress: Callable[[int], None] | None = None
    ) -> tuple[Tensor, EncodedFacts]:
        """Rows of facts in order, [rows, row width] float32 or packed if the table's are compact, and their tokens.

        Private facts have batches of their own: no bit of another row is due to them.
        """
        encoded = encode_frame(self.lm.tokenizer, facts, end_id=self.lm.newline_id)
        is_private = facts["private"].to_numpy()
        if is_private.all() or not is_private.any():
            return self._rows_of(encoded, progress=progress), encoded
        parts = [
            encode_frame(self.lm.tokenizer, facts.filter(chosen), end_id=self.lm.newline_id)
            for chosen in (~is_private, is_private)
        ]
        public, private = (self._rows_of(part, progress=progress) for part in parts)
        place = torch.from_numpy(is_private[encoded.chunk_facts]).to(public.device)
        rows = public.new_empty(len(place), *public.shape[1:])
        rows[~place], rows[place] = public, private
        return rows, encoded

    def _rows_of(self, encoded: EncodedFacts, *, progress: Callable[[int], None] | None) -> Tensor:
        features = fact_features(self.lm, encoded, layers=self.reader.config.writer_layers, progress=progress)
        if pack := self.store.table.pack:
            return pack(encoded, features)
        return write_rows(self.lm, self.reader, encoded, features=features)

    def erase(self, ordinals: np.ndarray) -> pl.DataFrame:
        """Erase facts by ordinal (see `store.catalogue.find`) and return what they were.

        Raises:
            ValueError: an ordinal is not live. Nothing is erased then.
        """
        with self.changing, self._journaled(lambda: entry_of_erasing(ordinals)):
            return self.store.erase(ordinals)

    def _journaled(self, make_entry: Callable[[], Entry]) -> AbstractContextManager[None]:
        """Lasts while a change is made: it is in the journal behind it, if there is one."""
        if self.journal is None or (entry := make_entry()).is_empty:
            return nullcontext()
        return self.journal.appending(entry)

    def binding(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        *,
        observe: Callable | None = None,
        use_memory: bool = True,
        as_of: date | None = None,
        hops: int = 1,
    ) -> tuple[Binding, Recall]:
        """The memory that B raw texts bring, ready to be bound to a call of the LLM.

        Args:
            texts: B; or B lists of the user's turns of a conversation, oldest first. No turn: no fact.
            observe: see `Binding`.
            use_memory: False = the bare LLM.
            as_of: bring only facts that hold on this day; None: see `memory.validity`.
            hops: 2 = also facts of the objects of facts, see `FactStore.recall`.
        """
        asked = texts if use_memory else [[]] * len(texts)
        recall = self.store.recall(asked, is_ahead=True, use_semantic=self.use_semantic, as_of=as_of, hops=hops)
        rows = recall.rows.to(self.lm.device) if self.use_wide and recall.has_rows.any() else None
        naming = None
        if self.use_gate and self.use_deep and self.reader.has_deep:
            naming = torch.from_numpy(self.store.names_relation(asked)).to(self.lm.device)
        reads_deep = self.use_deep and use_memory and (naming is None or rows is not None or bool(naming.any()))
        binding = Binding(
            rows=rows,
            weights=recall.weights.to(self.lm.device),
            wording=torch.from_numpy(recall.hits.wording).to(self.lm.device),
            use_deep=reads_deep,
            naming=naming,
            observe=observe,
            needs_weights=observe is not None,
            pending=recall.pending,
        )
        return binding, recall

    @property
    def asks_gate(self) -> bool:
        """Whether a gate judges questions."""
        return self.use_gate and self.reader.gate.is_set

    @torch.inference_mode()
    def relevant(self, binding: Binding, input_ids: Tensor, attention_mask: Tensor | None = None) -> Binding:
        """`binding` without the rows of questions that the reader's gate shuts out: one more pass over the prompts.

        Args:
            binding: the memory of B prompts.
            input_ids: [B, T] prompts.
            attention_mask: [B, T], 0 = padding.
        """
        if binding.rows is None or not self.asks_gate:
            return binding
        mass = self.prompt_mass(binding, input_ids, attention_mask)
        return binding.only(self.reader.gate(mass, binding.weights, binding.wording))

    @torch.inference_mode()
    def prompt_mass(self, binding: Binding, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Attention on the rows of `binding` at the last token of each prompt: [B, adapters, heads] float32."""
        found: list[Tensor] = []
        ends = prompt_ends(torch.ones_like(input_ids) if attention_mask is None else attention_mask)

        def observe(_index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
            found.append(mass_at(wide.mass, ends))

        with self.hooks.bind(replace(binding, observe=observe, needs_weights=False)):
            self.lm.decoder(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return torch.stack(found, dim=1)

    @torch.inference_mode()
    def forward(
        self, input_ids: Tensor, *, texts: Sequence[str] | None = None, **kwargs: object
    ) -> CausalLMOutputWithPast:
        """The LLM's forward pass with memory; `texts` (default: the decoded prompts) say which facts are read.

        The relevance gate is not asked: where the prompt ends is for `generate` and `ask` to know.
        """
        binding, _ = self.binding(
            texts if texts is not None else self.user_texts(input_ids, kwargs.get("attention_mask"))
        )
        with self.hooks.bind(binding):
            return self.lm.model(input_ids=input_ids, **kwargs)

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor,
        *,
        texts: Sequence[str] | None = None,
        generation: Generation | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Hugging Face's `generate` with memory: all its arguments, its result.

        Args:
            input_ids: [B, T].
            texts: the user's words of each prompt; default: decoded from `input_ids` (the user turns of a chat).
            generation: "transformers", "cuda_graph" (plain greedy decoding by captured steps, the same tokens) or
                "auto", which captures on a GPU where it can; default: the attribute.
            **kwargs: passed to `generate`.
        """
        binding, _ = self.binding(
            texts if texts is not None else self.user_texts(input_ids, kwargs.get("attention_mask"))
        )
        binding = self.judged(binding, input_ids, **kwargs)
        way = self.generation if generation is None else generation
        return generate_with(self.hooks, binding, input_ids, decoder=self.decoder, generation=way, options=kwargs)

    def judged(
        self, binding: Binding, input_ids: Tensor, *, attention_mask: Tensor | None = None, **kwargs: object
    ) -> Binding:
        """`binding` for `generate`: the gate is asked in its first pass, or in a pass of its own where that differs."""
        defaults = self.lm.model.generation_config
        if any(kwargs.get(name, getattr(defaults, name, None)) is not None for name in OTHER_FIRST_PASS):
            return self.relevant(binding, input_ids, attention_mask)
        if binding.rows is None or not self.asks_gate:
            return binding
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return replace(binding, prompt_mask=mask)

    def user_texts(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> list[str]:
        """The user's words in each prompt [B, T]: all of a plain prompt, the last user turn of a ChatML prompt."""
        texts = []
        for i, row in enumerate(input_ids.tolist()):
            kept = (
                row
                if attention_mask is None
                else [t for t, m in zip(row, attention_mask[i].tolist(), strict=True) if m]
            )
            texts.append(user_words(self.lm.tokenizer.decode(kept)))
        return texts

    def ask(self, question: str, options: AskOptions = AskOptions(), **changes: object) -> MemoryAnswer:  # noqa: B008 - frozen
        """Answer one question, or complete one statement; `options` and `changes` as in `ask_many`."""
        return self.ask_many([question], options, **changes)[0]

    def ask_many(
        self,
        questions: Sequence[str],
        options: AskOptions = AskOptions(),  # noqa: B008 - frozen
        **changes: object,
    ) -> list[MemoryAnswer]:
        """Answer questions greedily, in order.

        Args:
            questions: raw text.
            options: see `AskOptions`.
            **changes: fields of `options` by name, such as `max_new_tokens=8`.
        """
        return answer_many(self, questions, replace(options, **changes))


def write_rows(
    lm: FrozenLM, reader: Reader, encoded: EncodedFacts, *, features: Tensor, rows_per_batch: int = 4096
) -> Tensor:
    """Rows of encoded facts from their features, in batches."""
    arrays = [torch.from_numpy(a).long() for a in (encoded.chunk_tokens, encoded.chunk_cues, encoded.chunk_starts)]
    facts = torch.from_numpy(encoded.chunk_facts)
    out = torch.empty(len(facts), reader.writer.row_width, device=lm.device)
    for start in range(0, len(facts), rows_per_batch):
        part = slice(start, start + rows_per_batch)
        tokens, cues, starts = (a[part].to(lm.device) for a in arrays)
        out[part] = reader.writer(
            features[facts[part].to(lm.device)],
            tokens,
            chunk_cues=cues,
            chunk_starts=starts,
            embedding_weight=lm.embedding_weight,
        )
    return out


def as_facts(facts: pl.DataFrame | Iterable[Mapping] | str | Path) -> pl.DataFrame:
    """A checked facts frame from a frame, records or a file."""
    if isinstance(facts, pl.DataFrame):
        return normalise_facts(facts)
    return read_facts(facts) if isinstance(facts, str | Path) else facts_from_records(facts)
