"""Ask a memory the calibration's questions: what each answer showed, and whether it was right.

In: a memory, names of domains. Out: a frame with one row a question, kept in parquet files so that each is asked once.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from widedeep_kb.answering import AskOptions
from widedeep_kb.memory.signs import AnswerSigns
from widedeep_kb.metrics import exact_match
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.calibration_questions import ASKED_SCHEMA, MISSPELT, AskedDomain, draw_asked
from widedeep_kb.studies.reporting import tell
from widedeep_kb.tables import write_table

OPTIONS = AskOptions(max_new_tokens=24, batch_size=32)
ANSWERED_SCHEMA = {
    "domain": pl.String(),
    **ASKED_SCHEMA,
    "prediction": pl.String(),
    "is_right": pl.Boolean(),
    "read_subject": pl.String(),
    "read_relation": pl.String(),
    "read_object": pl.String(),
    **dict.fromkeys(AnswerSigns._fields, pl.Float64()),
}


def answers_of(
    memory: KnowledgeMemory,
    domains: tuple[str, ...],
    *,
    folders: tuple[Path, Path],
    kept: Path,
    num_questions: int,
    seed: int,
) -> pl.DataFrame:
    """Answers to the questions of some domains: a frame in `ANSWERED_SCHEMA`.

    Args:
        memory: without facts; it is left without.
        domains: see `draw_asked`.
        folders: of the public and of the prepared data sets.
        kept: folder for a parquet file of each domain; a domain whose file is there is not asked again.
        num_questions, seed: see `draw_asked`.

    Raises:
        ValueError: a data set is absent, or a kept file is of another version.
    """
    kept.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in domains:
        path = kept / f"{name}.parquet"
        if not path.exists():
            asked = draw_asked(name, memory.lm, folders=folders, num_questions=num_questions, seed=seed)
            memory.use_semantic = name.endswith(MISSPELT)
            write_table(answer_domain(memory, asked), path)
        frame = pl.read_parquet(path)
        if frame.schema != pl.Schema(ANSWERED_SCHEMA):
            raise ValueError(f"{path} was made by another version: move it away to ask its questions again")
        parts.append(frame)
        tell(domain=name, num_questions=frame.height, exact_match=round(float(frame["is_right"].mean()), 4))
    return pl.concat(parts)


def answer_domain(memory: KnowledgeMemory, asked: AskedDomain) -> pl.DataFrame:
    """Ask an empty memory, filled with a domain's facts, the domain's questions: a frame in `ANSWERED_SCHEMA`."""
    memory.write(asked.facts)
    answers = memory.ask_many(asked.questions["question"].to_list(), options=OPTIONS)
    memory.erase(memory.store.catalogue.alive())
    rows = []
    for question, answer in zip(asked.questions.iter_rows(), answers, strict=True):
        fact = answer.evidence[0] if answer.evidence else None
        read = (fact.subject, fact.relation, fact.object) if fact else (None, None, None)
        rows.append((asked.name, *question, answer.text, exact_match(answer.text, question[1]), *read, *answer.signs))
    return pl.DataFrame(rows, schema=ANSWERED_SCHEMA, orient="row")
