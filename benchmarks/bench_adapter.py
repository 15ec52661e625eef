"""What one adapter costs: one new token and a whole prompt, by each implementation, and beside a layer of the LLM.

    python benchmarks/bench_adapter.py --batch-sizes 1,64 --facts 1,8,32 --prompt-tokens 64 --runs 20

Random weights of the default reader's sizes; the layer is a random Llama layer of the default LLM's. First every
implementation is compared with the adapter in float64 on the CPU, its buffers filled with nan before. Then the
implementations take turns; times are medians over `--runs` of `--calls` calls in a row. `graph` replays a CUDA graph of
these calls (GPU only), `compiled` goes through `torch.compile`. Prints JSON lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from widedeep_kb.memory.adapter import HIT_FEATURES, ProjectedMemory, WideAdapter
from widedeep_kb.memory.encoding import SLOTS_PER_ROW
from widedeep_kb.memory.one_token import OneTokenReader
from widedeep_kb.memory.static_reader import StaticReader, num_places
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell

VOCABULARY, SLOT_WIDTH = 1024, 64
LAYER = {"num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536}  # of the default LLM
MOST_ERROR = {torch.float32: 2e-5, torch.bfloat16: 2e-2}  # of the largest value


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", default="1,64", help="by commas")
    parser.add_argument("--facts", default="1,8,32", help="of a question, by commas")
    parser.add_argument("--hidden-size", type=int, default=576, help="a multiple of 18")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=20, help="in a row, timed together")
    parser.add_argument("--compile", action="store_true", help="time torch.compile too")
    return parser.parse_args(argv)


class Case:
    """One adapter, the slots of a batch and a token for each sequence.

    Args:
        batch_size, num_facts, hidden_size: sizes.
        device: of all.
        dtype: of the hidden states; adapters are float32, as in use.
    """

    def __init__(
        self, batch_size: int, num_facts: int, *, hidden_size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.batch_size, self.num_slots, self.dtype = batch_size, num_facts * SLOTS_PER_ROW, dtype
        self.adapter = WideAdapter(hidden_size, slot_width=SLOT_WIDTH).to(device).requires_grad_(False)
        shape = (batch_size, self.num_slots)
        keys, values, hits = (torch.randn(*shape, n, device=device) for n in (SLOT_WIDTH, SLOT_WIDTH, HIT_FEATURES))
        mask = torch.rand(shape, device=device) < 0.6
        self.memory: ProjectedMemory = self.adapter.project(keys, values, hits=hits, mask=mask)
        self.embeddings = torch.randn(VOCABULARY, hidden_size, device=device).to(dtype)
        self.latest = torch.randint(VOCABULARY, (batch_size, 3), device=device)
        self.hidden = torch.randn(batch_size, 1, hidden_size, device=device).to(dtype)
        self.cues = torch.randn(batch_size, 3, hidden_size, device=device)

    def one_token(self, *, is_compiled: bool) -> dict[str, Callable[[], Tensor]]:
        """Implementations for one token by name; each returns the hidden states [B, 1, H] after the adapter."""
        queries = torch.nn.functional.linear(self.cues.flatten(1), self.adapter.query.weight[:, self.hidden.shape[2] :])
        grown = OneTokenReader([self.adapter], [self.memory], dtype=self.dtype)
        plain, fused = (self._static(is_fused=is_fused) for is_fused in (False, True))
        hidden = self.hidden
        found = {
            "growing buffers": lambda: hidden + grown.read(0, hidden, cue_query=queries, is_observed=False)[0],
            "fixed buffers, torch": lambda: plain.read(0, hidden, cue_query=queries),
        }
        if hidden.is_cuda:
            found["fixed buffers, Triton"] = lambda: fused.read(0, hidden, cue_query=queries)
        if is_compiled:
            compiled = torch.compile(plain.read)
            found["fixed buffers, compiled"] = lambda: compiled(0, hidden, cue_query=queries)
        return found

    def reference(self) -> Tensor:
        """What they are to return, in float64 on the CPU."""
        slow = WideAdapter(self.hidden.shape[2], slot_width=SLOT_WIDTH).double()
        slow.load_state_dict({name: part.double().cpu() for name, part in self.adapter.state_dict().items()})
        memory = ProjectedMemory(
            self.memory.keys.double().cpu(), self.memory.values.double().cpu(), self.memory.mask.cpu()
        )
        hidden, cues = self.hidden.double().cpu(), self.cues.double().cpu().flatten(1)
        return hidden + slow(slow.norm(hidden), memory, cues=cues[:, None], needs_weights=True).addition

    def prompt(self, num_tokens: int) -> Callable[[], Tensor]:
        """The adapter over prompts of `num_tokens`."""
        hidden = self.hidden.expand(-1, num_tokens, -1).float().contiguous()
        cues = self.cues.flatten(1)[:, None].expand(-1, num_tokens, -1).contiguous()
        return lambda: hidden + self.adapter(self.adapter.norm(hidden), self.memory, cues=cues).addition

    def layer(self, num_tokens: int) -> Callable[[], Tensor]:
        """A layer of the LLM over `num_tokens` of each sequence, no cache."""
        config = LlamaConfig(hidden_size=self.hidden.shape[2], attn_implementation="sdpa", **LAYER)
        layer = LlamaDecoderLayer(config, layer_idx=0).to(self.hidden.device, self.dtype).requires_grad_(False)
        hidden = self.hidden.expand(-1, num_tokens, -1).contiguous()
        positions = torch.arange(num_tokens, device=hidden.device)[None]
        rotary = LlamaRotaryEmbedding(config).to(hidden.device)(hidden, positions)
        return lambda: layer(hidden, position_embeddings=rotary)

    def _static(self, *, is_fused: bool) -> StaticReader:
        sizes = {"batch_size": self.batch_size, "num_slots": num_places(self.num_slots), "is_fused": is_fused}
        reader = StaticReader([self.adapter], embeddings=self.embeddings, **sizes)
        reader.content.fill_(torch.nan)
        reader.load([self.memory])
        return reader


def check(case: Case, implementations: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Largest error of each against float64, as a share of the largest value.

    Raises:
        ValueError: one is off by more than its dtype explains.
    """
    expected, errors = case.reference(), {}
    for name, run in implementations.items():
        error = float((run().double().cpu() - expected).abs().max() / expected.abs().max())
        if not error < MOST_ERROR[case.dtype]:
            raise ValueError(f"{name!r} is off by {error} at batch {case.batch_size}, {case.num_slots} slots")
        errors[name] = error
    return errors


def timed(runs: dict[str, Callable[[], Tensor]], *, num_runs: int, num_calls: int, is_cuda: bool) -> dict[str, float]:
    """Median microseconds of a call of each, in turns."""
    repeated = {name: lambda run=run: [run() for _ in range(num_calls)] for name, run in runs.items()}
    for many in repeated.values():
        many()
    if is_cuda:
        repeated |= {f"{name}, graph": _captured(many) for name, many in repeated.items()}
    times: dict[str, list[float]] = {name: [] for name in repeated}
    for _ in range(num_runs):
        for name, many in repeated.items():
            if is_cuda:
                torch.cuda.synchronize()
            started = time.perf_counter()
            many()
            if is_cuda:
                torch.cuda.synchronize()
            times[name].append(1e6 * (time.perf_counter() - started) / num_calls)
    return {name: statistics.median(values) for name, values in times.items()}


def _captured(run: Callable[[], object]) -> Callable[[], None]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    """Check, measure and print."""
    args = parse_args(argv)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    tell(device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu", dtype=str(dtype))
    rows = []
    for batch_size in (int(size) for size in args.batch_sizes.split(",")):
        for num_facts in (int(number) for number in args.facts.split(",")):
            case = Case(batch_size, num_facts, hidden_size=args.hidden_size, device=device, dtype=dtype)
            one = case.one_token(is_compiled=args.compile)
            errors = check(case, one)
            kinds = {
                "one token": {**one, "layer of the LLM": case.layer(1)},
                "prompt": {
                    "adapter": case.prompt(args.prompt_tokens),
                    "layer of the LLM": case.layer(args.prompt_tokens),
                },
            }
            for kind, runs in kinds.items():
                found = timed(runs, num_runs=args.runs, num_calls=args.calls, is_cuda=device.type == "cuda")
                for name, micros in found.items():
                    layer = found["layer of the LLM, graph" if name.endswith("graph") else "layer of the LLM"]
                    share = round(micros / layer, 3)
                    place = {"batch_size": batch_size, "facts": num_facts, "over": kind, "what": name}
                    tell(**place, microseconds=round(micros, 2), of_a_layer=share, error=errors.get(name))
                    rows.append([*place.values(), f"{micros:.1f}", f"{share:.2f}"])
    print("\n" + markdown_table(["batch", "facts", "over", "what", "µs a call", "of a layer"], rows))


if __name__ == "__main__":
    main()
