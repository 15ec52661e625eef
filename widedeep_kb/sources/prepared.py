"""Domains prepared from installed packages: facts.parquet, questions.parquet and templates.parquet in data/<name>/.

In (preparing): facts of a domain and its phrasings. Out: the three files; loading reads them back as a `Corpus`.
The phrasings are written by hand, in data/<name>/phrasings.json: texts with `{subject}` for each relation.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.schema import read_facts, read_questions, write_questions
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.questions import TEMPLATE_SCHEMA, own_questions, template_frame
from widedeep_kb.tables import write_table

Phrasings = Mapping[str, Sequence[str]]


def load(folder: Path) -> Corpus:
    """Load a prepared domain.

    Raises:
        ValueError: if a file is absent, with the command that makes it, or is not as it should be.
    """
    for name in ("facts.parquet", "questions.parquet", "templates.parquet"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} does not exist: run `python data/{folder.name}/prepare.py` first")
    templates = pl.read_parquet(folder / "templates.parquet")
    grouped = templates.group_by("relation", maintain_order=True).agg("template")
    return Corpus(
        name=folder.name,
        facts=read_facts(folder / "facts.parquet"),
        questions=read_questions(folder / "questions.parquet"),
        templates=dict(grouped.iter_rows()),
    )


def unpivot_properties(wide: pl.DataFrame, relations: Sequence[str]) -> pl.DataFrame:
    """Turn one row a subject into one row a fact.

    Args:
        wide: subject columns (subject, subject_id, ...) and one String or List(String) column for each relation.
        relations: the columns that are relations; nulls, empty strings and empty lists give no fact.

    Returns:
        The subject columns with relation and object, sorted by subject as in `wide`.
    """
    others = [name for name in wide.columns if name not in relations]
    lists = [
        pl.col(name) if isinstance(wide.schema[name], pl.List) else pl.concat_list(name) for name in relations
    ]
    rows = wide.with_row_index("row").with_columns(lists)
    long = rows.unpivot(relations, index=["row"], variable_name="relation", value_name="object")
    long = long.filter(pl.col("object").list.len() > 0).explode("object")
    long = long.filter(pl.col("object").is_not_null() & (pl.col("object").str.strip_chars() != ""))
    joined = long.join(rows.select("row", *others), on="row", maintain_order="left")
    return joined.sort("row", maintain_order=True).select(*others, "relation", "object")


def sample_subjects(facts: pl.DataFrame, *, max_facts: int | None, seed: int) -> pl.DataFrame:
    """Draw whole subjects by the seed until at most `max_facts` facts are taken; None takes all."""
    if max_facts is None:
        return facts
    sizes = facts.group_by("subject_id", maintain_order=True).len()
    order = np.random.default_rng(seed).permutation(sizes.height)
    drawn = sizes[order].filter(pl.col("len").cum_sum() <= max_facts)
    return facts.join(drawn.select("subject_id"), on="subject_id", how="semi", maintain_order="left")


def write_domain(
    facts: pl.DataFrame, phrasings: Phrasings, *, name: str, output: Path, seed: int = 0
) -> dict[str, int]:
    """Write a domain's facts, one question of our own for each fact, and its templates.

    Args:
        facts: frame in `FACT_SCHEMA`.
        phrasings: templates for every relation of the facts.
        name: the domain; a tag of every question, after `own`.
        output: folder, made if absent.
        seed: of the choice of phrasings.

    Returns:
        The numbers of facts, subjects, relations, questions, ambiguous questions and templates.

    Raises:
        ValueError: if a relation has no phrasings.
    """
    missing = sorted(set(facts["relation"].unique()) - set(phrasings))
    if missing:
        raise ValueError(f"{name}: no phrasings for relation {missing[0]!r}")
    templates = template_frame(phrasings)
    questions = own_questions(facts, templates, tags=["own", name], seed=seed)
    output.mkdir(parents=True, exist_ok=True)
    write_table(facts.drop("fact_id"), output / "facts.parquet")
    write_questions(output / "questions.parquet", questions)
    write_table(templates.cast(TEMPLATE_SCHEMA), output / "templates.parquet")
    return {
        "num_facts": facts.height,
        "num_subjects": facts["subject_id"].n_unique(),
        "num_relations": facts["relation"].n_unique(),
        "num_questions": questions.height,
        "num_ambiguous_questions": int(questions["tags"].list.contains("ambiguous").sum()),
        "num_templates": templates.height,
    }


def prepare(
    folder: Path, make_facts: Callable[[], pl.DataFrame], *, argv: Sequence[str], phrasings: Phrasings | None = None
) -> None:
    """Run data/<name>/prepare.py: parse its options, write the domain and print the counts as JSON.

    Args:
        folder: data/<name>; its name is the domain's, and the default output.
        make_facts: returns the whole domain in `FACT_SCHEMA`.
        argv: the command line's arguments.
        phrasings: those of folder/phrasings.json if None.
    """
    parser = argparse.ArgumentParser(description=f"Write the facts and questions of {folder.name}.")
    parser.add_argument("--output", type=Path, default=folder, help="folder for the files (default: %(default)s)")
    parser.add_argument("--max-facts", type=int, default=None, help="draw whole subjects up to this many facts")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of the choice of phrasings")
    options = parser.parse_args(argv)
    print(f"preparing {folder.name} ...", file=sys.stderr)
    facts = sample_subjects(make_facts(), max_facts=options.max_facts, seed=options.seed)
    if phrasings is None:
        phrasings = read_phrasings(folder / "phrasings.json")
    counts = write_domain(facts, phrasings, name=folder.name, output=options.output, seed=options.seed)
    print(json.dumps(counts))


def read_phrasings(path: Path) -> dict[str, list[str]]:
    """Read templates by relation from a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
