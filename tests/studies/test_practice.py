"""Practice in a comparison: what a system is told, and a whole comparison of one that practises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.choosing import build
from widedeep_kb.studies.compare import CompareConfig, compare, prepare, read_parts
from widedeep_kb.studies.comparison import Corpus
from widedeep_kb.studies.forgetting import Probes
from widedeep_kb.systems.lookup import Lookup
from widedeep_kb.systems.prompts import Shot
from widedeep_kb.systems.protocol import Practising
from widedeep_kb.systems.reflexion import ASK

NO_PROBES = Probes(pl.DataFrame(schema=QUESTION_SCHEMA), ())


@pytest.fixture
def corpus() -> Corpus:
    """Thirty facts; a third of them are asked for, the others are for development."""
    facts = facts_from_records(
        [
            {"subject": f"Zorvan{chr(97 + i)}{i}", "relation": relation, "object": value}
            for i in range(15)
            for relation, value in (("flag colour", f"colour {i}"), ("founding year", str(1800 + i)))
        ]
    )
    asked = facts.head(10).select(
        question=pl.format("Tell me the {} of {}.", "relation", "subject"),
        answers=pl.concat_list("object"),
        fact_id="fact_id",
        tags=pl.lit(["x"], dtype=pl.List(pl.String)),
    )
    return prepare(facts, asked.cast(QUESTION_SCHEMA), probes=NO_PROBES, num_dev=12)


class Learner(Lookup):
    """A stand-in that notes what it is told."""

    def practise(self, questions: Sequence[str], is_right: Callable[[int, str], bool]) -> None:
        """Give the right answer of the first question to each, in another case."""
        (answer,) = self.generate(questions[:1])
        self.questions = list(questions)
        self.told = [is_right(i, f" {answer.text.upper()}.\nAnd more") for i in range(len(questions))]


def test_a_system_is_told_right_or_wrong_and_never_tries_its_worked_examples(corpus: Corpus) -> None:
    system = Learner()
    assert isinstance(system, Practising)
    system.shots = [Shot(corpus.dev["question"][2], "x")]
    assert build(system, corpus) >= 0.0
    assert system.questions == [*corpus.dev["question"][:2], *corpus.dev["question"][3:]]
    assert system.told == [True] + [False] * 10  # as exact match has it


def test_without_development_questions_nothing_is_practised(corpus: Corpus) -> None:
    system = Learner()
    build(system, Corpus(corpus.facts, corpus.test, corpus.dev.clear(), NO_PROBES))
    assert not hasattr(system, "told") and system.generate(corpus.test["question"].to_list())[0].text


def test_a_comparison_of_a_system_that_practises(
    corpus: Corpus, tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm("llama", num_layers=1, max_position_embeddings=2048)
    seen: list[str] = []
    write = lm.generate_texts

    def noted(prompts: Sequence[str], **options: object) -> object:
        seen.extend(prompts)
        return write(prompts, **options)

    monkeypatch.setattr(lm, "generate_texts", noted)
    config = CompareConfig(systems=("reflexion",), max_new_tokens=2, num_updates=2)
    predictions = compare(corpus, lambda: lm, config, output=tmp_path / "c")
    (part,) = read_parts(tmp_path / "c")
    assert predictions.height == 10 and part["history"]["num_questions"] == 10  # two of twelve are worked examples
    shares = part["history"]["share_right"]
    assert len(shares) == 3 and shares == sorted(shares) and part["history"]["prompt_tokens"] > 0
    assert [(e["setting"]["num_reflections"], e["setting"]["top_k"]) for e in part["sweep"]] == [
        (1, 1), (3, 1), (0, 1), (1, 3), (1, 8),
    ]  # fmt: skip
    assert part["build_s"] > 0 and part["update"]["is_whole"] is False
    about_test = [p for p in seen if any(question in p for question in corpus.test["question"])]
    assert not any(ASK in prompt or "wrong answer to this question" in prompt for prompt in about_test)
    assert any(ASK in prompt for prompt in seen)
