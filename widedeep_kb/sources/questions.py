"""Questions about facts: which answers to accept, what kind of value is asked for, and which template asks it.

In: facts in `FACT_SCHEMA`, and templates or the natural questions of a data set. Out: frames in `QUESTION_SCHEMA`.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from widedeep_kb.schema import QUESTION_SCHEMA, normalise_texts

PROPERTY = ["subject_id", "relation"]
TEMPLATE_SCHEMA: dict[str, pl.DataType] = {
    "relation": pl.String(),
    "template": pl.String(),
    "is_statement": pl.Boolean(),
    "shares_word": pl.Boolean(),
}
PLACEHOLDER = "{subject}"
FUNCTION_WORD_TEXT = """
a an and are as at be by called came can come did do does for from get give go had has have how i if in is it its many
me much my name named of off on one or per s shall should tell than that the their they this to was were what when where
which who whom whose will with would you
"""
FUNCTION_WORDS = frozenset(FUNCTION_WORD_TEXT.split())
NUMBER = r"^[+\-−]?\d[\d,]*(\.\d+)?([eE][+\-]?\d+)?%?( [^\s\d]\S*( \S+)?)?$"
CODE = r"^(\S*[\d/_.@:]\S*|[A-Z]{1,4})$"


def is_statement(template: str) -> bool:
    """Whether a template is a statement to complete: it ends neither a sentence nor a request."""
    return not template.rstrip().endswith(("?", ":", ".", "!"))


def content_words(text: str) -> set[str]:
    """Return the lower-cased words of a text without placeholders, numbers and function words."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", " ", text).lower())
    return {word for word in words if word not in FUNCTION_WORDS}


def shares_word(relation: str, template: str) -> bool:
    """Whether a template and a relation share a content word, also an inflected one.

    Two words count as one when they agree in their first five letters (`inhabited`, `inhabitants`), or when the longer
    one is the shorter one, of three letters or more, with at most three letters added (`play`, `played`).
    """
    wanted = content_words(relation)
    return any(_is_same_word(word, other) for word in content_words(template) for other in wanted)


def _is_same_word(left: str, right: str) -> bool:
    short, long = sorted((left, right), key=len)
    if len(short) >= 5 and short[:5] == long[:5]:
        return True
    return short == long or (len(short) >= 3 and long.startswith(short) and len(long) - len(short) <= 3)


def template_frame(templates: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Lay templates out as a frame in `TEMPLATE_SCHEMA`, one row each, duplicates of a relation left out."""
    rows = [
        {
            "relation": relation,
            "template": template,
            "is_statement": is_statement(template),
            "shares_word": shares_word(relation, template),
        }
        for relation, texts in templates.items()
        for template in dict.fromkeys(texts)
    ]
    return pl.DataFrame(rows, schema=TEMPLATE_SCHEMA)


def value_kinds(objects: pl.Series) -> pl.Series:
    """Sort values into `number` (also with a unit), `code`, `phrase` (several words) and `word`: String [N]."""
    text = pl.col(objects.name)
    kind = (
        pl.when(text.str.contains(NUMBER)).then(pl.lit("number"))
        .when(text.str.contains(CODE)).then(pl.lit("code"))
        .when(text.str.contains(r"\s")).then(pl.lit("phrase"))
        .otherwise(pl.lit("word"))
    )
    return objects.to_frame().select(kind.alias("kind")).to_series()


def accepted_answers(facts: pl.DataFrame) -> pl.DataFrame:
    """Find the answers to accept for every property, as one who knows only the subject's name would.

    A name may belong to several subjects (as name or alias); the values of all of them are right then.

    Args:
        facts: frame in `FACT_SCHEMA`.

    Returns:
        Frame with subject_id, relation, answers (List(String)) and is_ambiguous (Boolean: several values, or several
        subjects of that name have the relation).
    """
    subjects = facts.select("subject_id", "subject", "subject_aliases").unique("subject_id", keep="first")
    names = subjects.select("subject_id", surface=normalise_texts(subjects["subject"]))
    aliases = subjects.filter(pl.col("subject_aliases").list.len() > 0)
    aliases = aliases.select("subject_id", surface="subject_aliases").explode("surface")
    aliases = aliases.with_columns(normalise_texts(aliases["surface"]))
    bearers = pl.concat([names, aliases]).unique().rename({"subject_id": "bearer_id"})
    values = facts.group_by(PROPERTY, maintain_order=True).agg(
        pl.col("object"), pl.col("object_aliases").list.explode(keep_nulls=False, empty_as_null=False)
    )
    asked = values.select(PROPERTY).join(names, on="subject_id").join(bearers, on="surface")
    known = values.rename({"subject_id": "bearer_id"})
    met = asked.join(known, on=["bearer_id", "relation"])
    met = met.sort(pl.col("bearer_id") != pl.col("subject_id"), maintain_order=True)  # own values first
    grouped = met.group_by(PROPERTY, maintain_order=True).agg(
        pl.col("object").list.explode(), pl.col("object_aliases").list.explode(keep_nulls=False, empty_as_null=False)
    )
    return grouped.select(
        *PROPERTY,
        answers=pl.col("object").list.concat("object_aliases").list.unique(maintain_order=True),
        is_ambiguous=pl.col("object").list.len() > 1,
    )


def own_questions(facts: pl.DataFrame, templates: pl.DataFrame, *, tags: Sequence[str], seed: int) -> pl.DataFrame:
    """Ask for every fact once, with a template of its relation chosen by the seed.

    Args:
        facts: frame in `FACT_SCHEMA`; facts of a relation without templates are not asked for.
        templates: frame in `TEMPLATE_SCHEMA`.
        tags: tags of every question; relation, value kind, `statement`, `no_shared_word` and `ambiguous` follow them.
        seed: of the choice of templates.

    Returns:
        Frame in `QUESTION_SCHEMA`, at most one row for each fact.
    """
    choices = templates.with_columns(
        choice=pl.int_range(pl.len()).over("relation"), num_choices=pl.len().over("relation")
    )
    counts = choices.select("relation", "num_choices").unique()
    asked = facts.join(counts, on="relation", maintain_order="left")
    draws = pl.Series("draw", np.random.default_rng(seed).integers(0, 2**31, asked.height))
    asked = asked.with_columns(choice=draws % pl.col("num_choices"))
    asked = asked.join(
        choices.with_columns(pl.col("choice").cast(pl.Int64)).drop("num_choices"),
        on=["relation", "choice"], maintain_order="left",
    )
    asked = asked.join(accepted_answers(facts), on=PROPERTY, maintain_order="left")
    asked = asked.with_columns(kind=value_kinds(asked["object"]))
    optional = [
        _tag("statement", pl.col("is_statement")),
        _tag("no_shared_word", ~pl.col("shares_word")),
        _tag("ambiguous", pl.col("is_ambiguous")),
    ]
    return asked.select(
        question=pl.col("template").str.replace_all(PLACEHOLDER, pl.col("subject"), literal=True),
        answers=pl.col("answers"),
        fact_id=pl.col("fact_id"),
        tags=_tag_list([*(pl.lit(tag) for tag in tags), pl.col("relation"), pl.col("kind"), *optional]),
    ).cast(QUESTION_SCHEMA)


def natural_questions(facts: pl.DataFrame, asked: pl.DataFrame, *, tag: str) -> pl.DataFrame:
    """Give the questions of a data set the answers of the properties they ask for.

    A text that asks for several properties (namesakes, two relations with one wording) accepts the values of all.

    Args:
        facts: frame in `FACT_SCHEMA`.
        asked: frame with question, subject_id and relation (String); properties without facts are left out.
        tag: first tag of every question; relation, value kind and, where they apply, `ambiguous` and `unnamed_subject`
            (the subject's name is not in the text) follow.

    Returns:
        Frame in `QUESTION_SCHEMA`, one row for each text.
    """
    first = facts.unique(PROPERTY, keep="first", maintain_order=True).select(*PROPERTY, "fact_id", "object", "subject")
    first = first.with_columns(kind=value_kinds(first["object"]), surface=normalise_texts(first["subject"]))
    rows = asked.join(first, on=PROPERTY, maintain_order="left").join(accepted_answers(facts), on=PROPERTY)
    rows = rows.unique(["question", *PROPERTY], keep="first", maintain_order=True)
    merged = rows.group_by("question", maintain_order=True).agg(
        pl.col("answers").list.explode(),
        pl.first("fact_id", "relation", "kind", "surface"),
        is_ambiguous=(pl.len() > 1) | pl.col("is_ambiguous").any(),
    )
    is_named = normalise_texts(merged["question"]).alias("text").to_frame().with_columns(merged["surface"])
    merged = merged.with_columns(is_named.select(is_named=pl.col("text").str.contains(pl.col("surface"), literal=True)))
    optional = [_tag("ambiguous", pl.col("is_ambiguous")), _tag("unnamed_subject", ~pl.col("is_named"))]
    return merged.select(
        "question",
        pl.col("answers").list.unique(maintain_order=True),
        "fact_id",
        tags=_tag_list([pl.lit(tag), pl.col("relation"), pl.col("kind"), *optional]),
    ).cast(QUESTION_SCHEMA)


def templates_from_questions(asked: pl.DataFrame, *, max_templates: int) -> dict[str, list[str]]:
    """Make templates of natural questions: the subject's name becomes the placeholder, whatever its case.

    Args:
        asked: frame with question, subject and relation (String); a question that does not hold its subject exactly
            once, as whole words, gives no template.
        max_templates: at most this many for each relation, the most frequent first.

    Returns:
        Templates by relation.
    """
    mined: dict[str, dict[str, int]] = {}
    for question, subject, relation in asked.select("question", "subject", "relation").iter_rows():
        pattern = rf"(?<!\w){re.escape(subject)}(?!\w)"
        pieces = re.split(pattern, question, flags=re.IGNORECASE)
        if len(pieces) == 2 and content_words(" ".join(pieces)):
            template = PLACEHOLDER.join(pieces).strip()
            counts = mined.setdefault(relation, {})
            counts[template] = counts.get(template, 0) + 1
    return {
        relation: sorted(counts, key=lambda text: -counts[text])[:max_templates] for relation, counts in mined.items()
    }


def _tag(name: str, condition: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(pl.lit(name))


def _tag_list(tags: Sequence[pl.Expr]) -> pl.Expr:
    return pl.concat_list(tags).list.drop_nulls()
