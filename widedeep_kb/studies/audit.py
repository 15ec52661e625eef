"""Are erased facts gone? Answers before and after erasing, beside a memory that never had the facts; then the bytes.

In: a memory folder, which is copied and never changed, and facts. Out: `Audit`. Each fact is asked for in several
phrasings, by its aliases and by names that are nearly its subject's. The residue is the share of right answers after
erasing minus that of a control memory: the same reader, the same other facts in the same order, the same trainings with
the same seeds, but these facts were never written. It is paired by question.

Letters: Q questions.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.answering import AskOptions
from widedeep_kb.live import live_memory
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.folder import empty_store
from widedeep_kb.memory.scanning import FileReport, Trace, leftovers, scan, traces_of
from widedeep_kb.memory.training_record import copy_of
from widedeep_kb.metrics import Interval, exact_match, paired_bootstrap
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import frames, relation_paraphrases
from widedeep_kb.studies.answer_cache import AnswerCache
from widedeep_kb.studies.damaged_names import misspelt, shortened
from widedeep_kb.training.exact_erasing import retrained_without
from widedeep_kb.training.scratch import scratch_folder

PROBE_SCHEMA = {
    "fact_id": pl.String(),
    "kind": pl.String(),
    "question": pl.String(),
    "answers": pl.List(pl.String()),
}
NUM_PHRASINGS = 6


@dataclass(frozen=True)
class Residue:
    """What is left of erased facts in the answers.

    Attributes:
        interval: share of right answers minus that of the control, with its bootstrap interval.
        num_differing: answers whose text is not the control's.
    """

    interval: Interval
    num_differing: int


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        num_facts: audited.
        absent: facts asked for that the memory does not hold.
        answers: the probes [Q] with a column of texts for each arm: `before`, `off`, `erased`, `control`, `exact`.
        right: arm -> share of right answers.
        residues: "erased", and "exact" if it was asked for.
        shared: weights that all facts share and that were trained on these, or beside them.
        num_traces: kind -> number of traces looked for.
        held: the files before the folder was written anew, and what they held.
        files: the files after, likewise.
        leftovers: what the folder holds of no live fact.
        notes: what else is to be known.
    """

    num_facts: int
    absent: list[str]
    answers: pl.DataFrame
    right: dict[str, float]
    residues: dict[str, Residue]
    shared: tuple[str, ...]
    num_traces: dict[str, int]
    held: list[FileReport]
    files: list[FileReport]
    leftovers: list[str]
    notes: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left, neither in the bytes nor in the answers (those of exact erasing, if there are)."""
        last = list(self.residues.values())[-1].interval
        is_held = any(report.found for report in self.files)
        return not is_held and not self.leftovers and (last.mean, last.low, last.high) == (0.0, 0.0, 0.0)


def audit(
    folder: Path,
    facts: pl.DataFrame,
    *,
    lm: FrozenLM,
    questions: pl.DataFrame | None = None,
    is_exact: bool = False,
    max_new_tokens: int = 24,
    batch_size: int = 32,
    seed: int = 0,
    cache: AnswerCache | None = None,
) -> Audit:
    """Erase facts from a copy of a memory folder and look for what is left.

    Args:
        folder: the memory; it is only read.
        facts: frame in `FACT_SCHEMA`; those that the memory does not hold are named.
        lm: its LLM.
        questions: frame in `QUESTION_SCHEMA`; those with the `fact_id` of a fact are asked too.
        is_exact: also erase the facts exactly (see `training.exact_erasing`).
        max_new_tokens, batch_size: of the answers.
        seed: of the phrasings.
        cache: of answers; None: one for this audit.

    Raises:
        ValueError: no memory folder, none of the facts is in it, or its trainings cannot be run again.
    """
    read_config(folder)
    asked = {"cache": cache or AnswerCache(), "max_new_tokens": max_new_tokens, "batch_size": batch_size}
    with scratch_folder() as scratch:
        copy = copy_at_rest(folder, scratch / "memory")
        try:
            memory = KnowledgeMemory.from_pretrained(copy, llm=lm)
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), str(folder))) from error
        found = memory.store.catalogue.find(facts=facts)
        if not len(found.ordinals):
            raise ValueError(f"{str(folder)!r} holds none of the {facts.height} facts")
        rows = memory.store.catalogue.rows(found.ordinals)
        probes = probes_of(rows, questions=questions, seed=seed)
        arms = {name: answers_of(name, memory, probes, use_memory=use, **asked) for name, use in _BEFORE.items()}
        control = control_of(memory, found.ordinals)
        arms["control"] = answers_of("control", control, probes, **asked)
        traces = traces_of(memory.store, found.ordinals, others=control.store)
        notes, shared = _notes(memory), memory.record.shared_with(found.ordinals, catalogue=memory.store.catalogue)
        if is_exact:
            exact = shutil.copytree(copy, scratch / "exact")
            memory = KnowledgeMemory.from_pretrained(exact, llm=lm)
            retrained_without(memory, found.ordinals).save(exact)
        held = erase_and_scan(copy, found.ordinals, traces, lm=lm)
        arms["erased"] = answers_of("erased", KnowledgeMemory.from_pretrained(copy, llm=lm), probes, **asked)
        files, left = scan(copy, traces), leftovers(read_config(copy).snapshot)
        if is_exact:
            erase_and_scan(exact, None, traces, lm=lm)
            arms["exact"] = answers_of("exact", KnowledgeMemory.from_pretrained(exact, llm=lm), probes, **asked)
            files += [_inside("exact", report) for report in scan(exact, traces)]
            left += leftovers(read_config(exact).snapshot)
    right = {name: _is_right(texts, probes) for name, texts in arms.items()}
    return Audit(
        num_facts=len(found.ordinals),
        absent=found.absent,
        answers=probes.with_columns(pl.Series(name, texts, pl.String()) for name, texts in arms.items()),
        right={name: float(values.mean()) for name, values in right.items()},
        residues={
            name: Residue(paired_bootstrap(right[name], right["control"]), _num_differing(arms, name))
            for name in ("erased", "exact")
            if name in arms
        },
        shared=shared,
        num_traces={kind: sum(trace.kind == kind for trace in traces) for kind in ("row", "key", "fact_id", "text")},
        held=held,
        files=files,
        leftovers=left,
        notes=notes,
    )


_BEFORE = {"before": True, "off": False}
_MOST_COPIES = 5


def copy_at_rest(folder: Path, target: Path) -> Path:
    """Copy a memory folder in one of its states; again if another process changes it meanwhile.

    Raises:
        ValueError: it is changed all the time.
        OSError: a file cannot be read.
    """
    for _ in range(_MOST_COPIES):
        before = _state(folder)
        try:
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".lock"))
        except OSError:
            if before == _state(folder):
                raise
        else:
            if before == _state(folder):
                return target
        shutil.rmtree(target, ignore_errors=True)
    raise ValueError(f"{str(folder)!r} is changed all the time: audit it when it is at rest")


def _state(folder: Path) -> set[tuple[str, int, int]]:
    """Names, sizes and times of the files, but for those that readers write; empty where one goes meanwhile."""
    files = [path for path in folder.rglob("*") if path.name != ".lock" and not path.name.endswith("-shm")]
    try:
        return {(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files}
    except FileNotFoundError:
        return set()


def erase_and_scan(
    folder: Path, ordinals: np.ndarray | None, traces: Sequence[Trace], *, lm: FrozenLM
) -> list[FileReport]:
    """Erase facts from a folder (None: they are already), look what its files hold then, and write it anew.

    Returns:
        what its files held before they were written anew.
    """
    with live_memory(folder, llm=lm) as live:
        if ordinals is not None:
            live.memory.erase(ordinals)
        held = scan(folder, traces)
        live.compact()
    return held


def control_of(memory: KnowledgeMemory, ordinals: np.ndarray) -> KnowledgeMemory:
    """A memory in which the facts `ordinals` of `memory` were never written.

    Where nothing was trained, the rows of the others are those the writer made: they are taken over as they are.
    """
    if memory.record.trainings:
        return retrained_without(memory, ordinals)
    kept = np.setdiff1d(memory.store.catalogue.alive(), ordinals)
    reader, former = copy_of(memory.reader), memory.store
    store = empty_store(memory.lm, reader, row_format=former.table.row_format, row_device=former.table.weight.device)
    if len(kept):
        num_rows = former.num_rows[kept]
        ids, _ = former.row_ids_of(kept[:, None])
        changes = store.preview(former.catalogue.rows(kept).drop("ordinal"), mode="extend")
        store.change(changes, former.table.weight.detach()[ids[ids >= 0]].clone(), num_rows=num_rows)
    return KnowledgeMemory(
        memory.lm,
        reader,
        store=store,
        use_deep=memory.use_deep,
        use_semantic=memory.use_semantic,
        use_gate=memory.use_gate,
    )


def probes_of(facts: pl.DataFrame, *, questions: pl.DataFrame | None = None, seed: int = 0) -> pl.DataFrame:
    """Questions about facts, `NUM_PHRASINGS` each and those of its own: a frame in `PROBE_SCHEMA`.

    The kinds: "trained" and "heldout" frames, a "paraphrase" of a common relation, an "alias" (each where there is
    none: another held-out frame), a "near miss" (a letter changed, a word left out), "other case"; and "own".
    """
    own = {} if questions is None else _own(questions)
    rows = []
    for fact in facts.iter_rows(named=True):
        answers = [fact["object"], *fact["object_aliases"]]
        asked = [*_phrasings(fact, random.Random(f"{seed}/{fact['fact_id']}"))]
        asked += [("own", text) for text in own.get(fact["fact_id"], ())]
        rows += [(fact["fact_id"], kind, text, answers) for kind, text in asked]
    return pl.DataFrame(rows, schema=PROBE_SCHEMA, orient="row")


def answers_of(
    name: str,
    memory: KnowledgeMemory,
    probes: pl.DataFrame,
    *,
    cache: AnswerCache,
    use_memory: bool = True,
    **asked: int,
) -> list[str]:
    """The memory's answers to probes, in order; `name` is for reports."""
    options = AskOptions(use_memory=use_memory, **asked)
    return cache.ask(memory, probes["question"].to_list(), options, name=name)


def _phrasings(fact: dict[str, object], rng: random.Random) -> list[tuple[str, str]]:
    subject, relation = fact["subject"], fact["relation"]
    trained = rng.choice(frames("trained")).render(subject, relation)
    heldout = rng.sample(frames("heldout"), 5)
    natural = relation_paraphrases(relation)
    phrased = ("paraphrase", rng.choice(natural).render(subject)) if natural else _framed(heldout[1], fact)
    aliases = fact["subject_aliases"]
    alias = ("alias", heldout[2].render(rng.choice(aliases), relation)) if aliases else _framed(heldout[2], fact)
    damages = [misspelt, shortened]
    rng.shuffle(damages)
    near = next((name for damage in damages if (name := damage(subject, rng))), f"{subject} {subject[:1]}")
    return [
        ("trained", trained),
        _framed(heldout[0], fact),
        phrased,
        alias,
        ("near miss", heldout[3].render(near, relation)),
        ("other case", heldout[4].render(subject.lower() if subject != subject.lower() else subject.upper(), relation)),
    ]


def _framed(frame: object, fact: dict[str, object]) -> tuple[str, str]:
    return "heldout", frame.render(fact["subject"], fact["relation"])


def _own(questions: pl.DataFrame) -> dict[str, list[str]]:
    grouped = questions.drop_nulls("fact_id").group_by("fact_id", maintain_order=True).agg("question")
    return dict(zip(grouped["fact_id"].to_list(), grouped["question"].to_list(), strict=True))


def _is_right(texts: Sequence[str], probes: pl.DataFrame) -> np.ndarray:
    answers = probes["answers"].to_list()
    return np.array([exact_match(text, wanted) for text, wanted in zip(texts, answers, strict=True)], np.float64)


def _num_differing(arms: dict[str, list[str]], name: str) -> int:
    return sum(one != other for one, other in zip(arms[name], arms["control"], strict=True))


def _inside(name: str, report: FileReport) -> FileReport:
    return FileReport(f"{name}/{report.name}", report.num_bytes, report.found)


def _notes(memory: KnowledgeMemory) -> list[str]:
    notes = []
    if memory.reader.has_deep and not memory.record.trainings:
        notes.append("the deep memory was trained before trainings were recorded: the control has it too")
    elif gone := memory.record.num_gone(memory.store.catalogue):
        notes.append(f"shared weights were trained on {gone} facts that were erased or replaced since")
    momentum = memory.store.table.momentum
    if not memory.record.trainings and momentum.numel() and bool((momentum != 0).any()):
        notes.append("rows were trained before trainings were recorded: the control has the others as they are")
    return notes
