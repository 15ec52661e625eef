"""Movie roles: who acted as a role in a film (MIT, technion-cs-nlp/LLMsKnow).

In: train.parquet (Question, Answer), where every question reads "Who acted as ROLE in the movie 'FILM'?". The subject
is the film and the relation "actor who played ROLE", so that nearly every fact has a relation of its own.
"""

from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.questions import natural_questions

QUESTION = r"^Who acted as (?<role>.+?) in the movie '(?<film>.+)'\?$"
RELATION = "actor who played "
TEMPLATES = (
    "Who acted as {role} in the movie '{subject}'?",
    "Who played {role} in {subject}?",
    "Which performer was cast as {role} in the film {subject}?",
    "who is {role} in {subject}?",
    "In {subject}, {role} was portrayed by whom?",
    "Cast list of {subject}, {role}:",
    "In the film {subject}, {role} is played by",
    "The part of {role} in {subject} went to",
)


def load(folder: Path) -> Corpus:
    """Load facts, the set's questions, and eight templates for each role."""
    raw = pl.read_parquet(folder / "train.parquet")
    parts = raw.with_columns(pl.col("Question").str.extract_groups(QUESTION)).unnest("Question")
    parts = parts.with_columns(question=raw["Question"]).filter(pl.col("role").str.strip_chars() != "")
    role = pl.col("role").str.strip_chars()
    relation = pl.concat_str(pl.lit(RELATION), role)
    rows = parts.select("question", subject="film", relation=relation, object="Answer", source=pl.lit("movie_qa"))
    facts, dropped = checked_facts(rows.drop("question"), name="movie_qa")
    if raw.height > parts.height:
        dropped["question without a role"] = raw.height - parts.height
    asked = rows.select("question", "relation", subject_id=normalise_texts(rows["subject"].str.strip_chars()))
    questions = natural_questions(facts, asked, tag="movie_qa")
    templates = {
        relation: [text.replace("{role}", relation.removeprefix(RELATION)) for text in TEMPLATES]
        for relation in facts["relation"].unique(maintain_order=True).to_list()
    }
    return Corpus("movie_qa", facts, questions, templates, dropped)
