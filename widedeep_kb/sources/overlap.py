"""What training and evaluation share, and how to take it out of the training corpora.

In: facts in `FACT_SCHEMA` and templates by relation, of both sides. Out: counts, or the corpora without the shared
part. Names are compared by `schema.normalise_text`; a subject is shared when any of its names is one of the other side.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from widedeep_kb.schema import normalise_text, normalise_texts
from widedeep_kb.sources.corpus import Corpus

Templates = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Overlap:
    """What two sides share.

    Attributes:
        num_subjects: normalised subject names and aliases on both sides.
        num_relations: normalised relation strings on both sides.
        num_templates: normalised templates on both sides.
        object_share: share (0 to 1) of the distinct evaluation objects that are objects in training too.
        examples: a few of the shared names, relations and templates, for a message.
    """

    num_subjects: int
    num_relations: int
    num_templates: int
    object_share: float
    examples: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether no subject, relation or template is shared; objects may be."""
        return not (self.num_subjects or self.num_relations or self.num_templates)


def surfaces(facts: pl.DataFrame) -> pl.Series:
    """Return every normalised name and alias of the subjects of facts, each once: String [N]."""
    aliases = facts.filter(pl.col("subject_aliases").list.len() > 0).unique("subject_id")
    aliases = aliases.select(surface="subject_aliases").explode("surface").to_series()
    names = pl.concat([facts["subject"].rename("surface"), aliases]).unique()
    return normalise_texts(names).unique()


def measure_overlap(
    train_facts: pl.DataFrame, train_templates: Templates, *, eval_facts: pl.DataFrame, eval_templates: Templates
) -> Overlap:
    """Count what two sides share; see `Overlap`."""
    subjects = _shared(surfaces(train_facts), surfaces(eval_facts))
    relations = _shared(_normalised(train_facts["relation"]), _normalised(eval_facts["relation"]))
    templates = sorted(template_texts(train_templates) & template_texts(eval_templates))
    objects = _normalised(eval_facts["object"])
    seen = _shared(objects, _normalised(train_facts["object"]))
    return Overlap(
        num_subjects=len(subjects),
        num_relations=len(relations),
        num_templates=len(templates),
        object_share=len(seen) / max(1, objects.len()),
        examples=(*subjects[:3], *relations[:3], *templates[:3]),
    )


def assert_disjoint(
    train_facts: pl.DataFrame, train_templates: Templates, *, eval_facts: pl.DataFrame, eval_templates: Templates
) -> Overlap:
    """Refuse training and evaluation that share a subject name, a relation string or a template.

    Returns:
        The counts, all zero, with the share of objects seen in training.

    Raises:
        ValueError: with the counts and a few examples, if anything but objects is shared.
    """
    overlap = measure_overlap(train_facts, train_templates, eval_facts=eval_facts, eval_templates=eval_templates)
    if not overlap.is_empty:
        raise ValueError(
            f"training and evaluation share {overlap.num_subjects} subject names, {overlap.num_relations} relations "
            f"and {overlap.num_templates} templates, such as {', '.join(map(repr, overlap.examples))}"
        )
    return overlap


def exclude(corpora: Sequence[Corpus], evaluation: Sequence[Corpus]) -> list[Corpus]:
    """Take out of training corpora all that the evaluation corpora have too.

    Facts go where a name of their subject or their relation occurs in the evaluation, templates where their relation or
    their text does, questions with the facts they ask for or with their text.

    Args:
        corpora: to train on.
        evaluation: to evaluate on.

    Returns:
        A corpus for each of `corpora`, in order; one may be left without facts.
    """
    names = pl.concat([surfaces(corpus.facts) for corpus in evaluation]).unique()
    relations = pl.concat([_normalised(corpus.facts["relation"]) for corpus in evaluation]).unique()
    texts = set().union(*(template_texts(corpus.templates) for corpus in evaluation))
    questions = pl.concat([_normalised(corpus.questions["question"]) for corpus in evaluation]).unique()
    return [
        _without(corpus, names=names, relations=relations, texts=texts, questions=questions) for corpus in corpora
    ]


def template_texts(templates: Templates) -> set[str]:
    """Return the normalised texts of templates, each once."""
    return {normalise_text(text) for texts in templates.values() for text in texts}


def _without(
    corpus: Corpus, *, names: pl.Series, relations: pl.Series, texts: set[str], questions: pl.Series
) -> Corpus:
    kept = corpus.facts.filter(~normalise_texts(corpus.facts["relation"]).is_in(relations.implode()))
    kept = kept.filter(~normalise_texts(kept["subject"]).is_in(names.implode()))
    aliases = kept.select("fact_id", surface="subject_aliases").filter(pl.col("surface").list.len() > 0)
    aliases = aliases.explode("surface")
    shared = aliases.filter(normalise_texts(aliases["surface"]).is_in(names.implode()))
    kept = kept.join(shared.select("fact_id").unique(), on="fact_id", how="anti", maintain_order="left")
    is_shared_text = normalise_texts(corpus.questions["question"]).is_in(questions.implode())
    asked = corpus.questions.filter(~is_shared_text)
    asked = asked.join(kept.select("fact_id"), on="fact_id", how="semi", maintain_order="left")
    relation_names = set(relations.to_list())
    templates = {
        relation: [text for text in group if normalise_text(text) not in texts]
        for relation, group in corpus.templates.items()
        if normalise_text(relation) not in relation_names
    }
    return dataclasses.replace(
        corpus, facts=kept, questions=asked, templates={key: group for key, group in templates.items() if group}
    )


def _normalised(texts: pl.Series) -> pl.Series:
    return normalise_texts(texts.unique()).unique()


def _shared(left: pl.Series, right: pl.Series) -> list[str]:
    return left.filter(left.is_in(right.implode())).sort().to_list()
