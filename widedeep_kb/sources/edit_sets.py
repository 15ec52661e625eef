"""Counterfactual edits as facts to write and texts to ask: MQuAKE's and CounterFact's.

In: the folder of the public data sets. Out: an `EditSet`. An edit is a property with a new, untrue value; of several
edits of one property the last one counts. A CounterFact row names neither its property nor, often, its subject: both
are those of the ParaRel (T-REx) fact whose subject stands in the prompt and whose value is the edit's old one.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from widedeep_kb.schema import normalise_text, normalise_texts
from widedeep_kb.sources.corpus import checked_facts
from widedeep_kb.sources.mquake import parse_edit
from widedeep_kb.sources.questions import PLACEHOLDER
from widedeep_kb.sources.registry import load_corpus

PROBE_SCHEMA: dict[str, pl.DataType] = {
    "text": pl.String(),
    "kind": pl.String(),
    "target": pl.String(),
    "answers": pl.List(pl.String()),
    "fact_id": pl.String(),
    "names_subject": pl.Boolean(),
}
OWN, OTHER = "own", "other"
_PHRASINGS = 2  # of an edit that brings none itself, as in CounterFact
_WORD = re.compile(r"\w+")
_MOST_CLOSING = 2  # marks that may end a name: `Warner Bros.`, `Help!`


class Edit(NamedTuple):
    """One edit: the property, its new value, and the texts that ask for it; `prompt` + " " + `object` is the edit."""

    subject: str
    relation: str
    object: str
    prompt: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class EditSet:
    """Edits of one data set, one for each property.

    Attributes:
        name: of the data set.
        facts: the edits, in `FACT_SCHEMA`, in the order in which they are made.
        probes: frame in `PROBE_SCHEMA`: a text, its `kind` (`OWN`: the edit's prompt, `OTHER`: another phrasing), the
            new value, all accepted values (a text may ask for several properties), the fact and whether its subject
            stands in the text.
        counts: of rows read, and of what became of them.
    """

    name: str
    facts: pl.DataFrame
    probes: pl.DataFrame
    counts: dict[str, int]

    def first(self, num_edits: int) -> EditSet:
        """The set that holds only the first `num_edits` facts."""
        facts = self.facts.head(num_edits)
        return EditSet(self.name, facts, _probes_of(facts, self.probes), self.counts)


def load_edits(name: str, *, data_dir: Path, seed: int = 0) -> EditSet:
    """Read "mquake" or "counterfact".

    Args:
        name: of the data set.
        data_dir: holds mquake/, counterfact/ and pararel/.
        seed: of the order of the edits, and of the phrasings of edits that bring none.

    Raises:
        ValueError: another name.
    """
    if name not in _LOADERS:
        raise ValueError(f"no edits of the name {name!r}; there are {', '.join(_LOADERS)}")
    edits, counts = _LOADERS[name](data_dir, seed)
    counts["edits"] = len(edits)
    last = {(normalise_text(edit.subject), edit.relation): edit for edit in edits}
    values = {(normalise_text(edit.subject), edit.relation, edit.object) for edit in edits}
    counts["repeated edits"] = len(edits) - len(values)
    counts["edits that a later one replaces"] = len(values) - len(last)
    kept = list(last.values())
    random.Random(seed).shuffle(kept)
    rows = [
        {"subject": e.subject, "relation": e.relation, "object": e.object, "statement": f"{e.prompt} {e.object}"}
        for e in kept
    ]
    facts, dropped = checked_facts(pl.DataFrame(rows).with_columns(source=pl.lit(name)), name=name)
    counts |= dropped
    by_property = {(s, r): i for s, r, i in facts.select("subject_id", "relation", "fact_id").iter_rows()}
    found = []
    for edit in kept:
        fact_id = by_property.get((normalise_text(edit.subject), edit.relation))
        if fact_id is None:
            continue
        subject = normalise_text(edit.subject)
        for kind, texts in ((OWN, (edit.prompt,)), (OTHER, dict.fromkeys(edit.others))):
            found += [(text, kind, edit.object, [], fact_id, subject in normalise_text(text)) for text in texts]
    probes = pl.DataFrame(found, schema=PROBE_SCHEMA, orient="row")
    return EditSet(name, facts, _probes_of(facts, probes), counts)


def _probes_of(facts: pl.DataFrame, probes: pl.DataFrame) -> pl.DataFrame:
    """The probes of `facts`, with the values that each text may be answered by."""
    kept = probes.join(facts.select("fact_id"), on="fact_id", how="semi", maintain_order="left")
    accepted = kept.group_by("text").agg(answers=pl.col("target").unique(maintain_order=True))
    return kept.drop("answers").join(accepted, on="text", maintain_order="left").select(list(PROBE_SCHEMA))


def _mquake(data_dir: Path, _seed: int) -> tuple[list[Edit], dict[str, int]]:
    raw = pl.read_parquet(data_dir / "mquake" / "edits_with_4_questions.parquet")
    edits = []
    for sentence, questions in raw.iter_rows():
        parsed = parse_edit(sentence, questions)
        if parsed is None:
            continue
        prompt = sentence[: sentence.rindex(parsed.object)].rstrip()
        others = tuple(text.strip() for text in questions)
        edits.append(Edit(parsed.subject.strip(), parsed.relation, parsed.object.strip(), prompt, others))
    return edits, {"rows": raw.height, "rows not understood": raw.height - len(edits)}


def _counterfact(data_dir: Path, seed: int) -> tuple[list[Edit], dict[str, int]]:
    raw = pl.read_parquet(data_dir / "counterfact" / "edits_even.parquet")
    known = load_corpus("pararel", data_dir=data_dir)
    columns = ("prompt", "target_true", "target_new")
    prompts, old, new = (raw[name].str.strip_chars().to_list() for name in columns)
    properties = link_properties(prompts, old, facts=known.facts)
    rng = random.Random(seed)
    edits = []
    for prompt, value, found in zip(prompts, new, properties, strict=True):
        if found is None:
            continue
        subject, relation = found
        texts = [text.replace(PLACEHOLDER, subject) for text in known.templates.get(relation, ())]
        others = [text for text in texts if text != prompt]
        edits.append(Edit(subject, relation, value, prompt, tuple(rng.sample(others, min(_PHRASINGS, len(others))))))
    return edits, {"rows": raw.height, "rows not understood": raw.height - len(edits)}


_LOADERS = {"mquake": _mquake, "counterfact": _counterfact}


def link_properties(
    prompts: Sequence[str], values: Sequence[str], *, facts: pl.DataFrame
) -> list[tuple[str, str] | None]:
    """Subject and relation of each prompt: of the known fact with this value whose subject is the longest inside.

    Where facts of several relations fit, the one that most prompts of the same wording have is taken.

    Args:
        prompts: each holds a subject.
        values: what each prompt was completed with.
        facts: has `subject`, `relation` and `object`.

    Returns:
        (subject as written in the prompt, relation), or None where no fact fits.
    """
    relations: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject, relation, value in facts.select("subject", "relation", "object").iter_rows():
        relations[subject.casefold(), value.casefold()].add(relation)
    found = [_fitting(prompt, value.casefold(), relations) for prompt, value in zip(prompts, values, strict=True)]
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for prompt, fit in zip(prompts, found, strict=True):
        if fit and len(fit[1]) == 1:
            votes[_wording(prompt, fit[0])].update(fit[1])
    return [
        (fit[0], max(sorted(fit[1]), key=votes[_wording(prompt, fit[0])].__getitem__)) if fit else None
        for prompt, fit in zip(prompts, found, strict=True)
    ]


def _fitting(prompt: str, value: str, relations: dict[tuple[str, str], set[str]]) -> tuple[str, set[str]] | None:
    fits = [name for name in _names_inside(prompt) if (name.casefold(), value) in relations]
    if not fits:
        return None
    longest = max(fits, key=len)
    return longest, relations[longest.casefold(), value]


def _names_inside(text: str) -> Iterable[str]:
    """Every run of whole words of a text, also with the marks that end it."""
    spans = [match.span() for match in _WORD.finditer(text)]
    for i, (start, _) in enumerate(spans):
        for _, end in spans[i:]:
            for stop in range(end, min(end + _MOST_CLOSING, len(text)) + 1):
                yield text[start:stop]
                if re.match(r"[\w\s]", text[stop : stop + 1] or " "):
                    break


def _wording(prompt: str, subject: str) -> str:
    return prompt.replace(subject, PLACEHOLDER)


def neighbours(edits: EditSet, *, data_dir: Path, num_texts: int, seed: int) -> pl.DataFrame:
    """Texts in the data set's kind of wording about subjects that no edit has, with a true answer.

    For CounterFact statements of ParaRel, for MQuAKE questions of EntityQuestions.

    Args:
        edits: all edits in memory.
        data_dir: holds pararel/ and entityquestions/.
        num_texts: at most so many.
        seed: of the draw.

    Returns:
        `text`, `answer` and `origin` (the data set), String.
    """
    name = "pararel" if edits.name == "counterfact" else "entityquestions"
    corpus = load_corpus(name, data_dir=data_dir)
    asked = corpus.questions.select("question", "answers", "fact_id").join(
        corpus.facts.select("fact_id", "subject"), on="fact_id", maintain_order="left"
    )
    edited = normalise_texts(edits.facts["subject"]).unique()
    others = asked.filter(~normalise_texts(asked["subject"]).is_in(edited.implode())).unique("question")
    drawn = others.sort("question").sample(min(num_texts, others.height), shuffle=True, seed=seed)
    return drawn.select(text="question", answer=pl.col("answers").list.first(), origin=pl.lit(name))
