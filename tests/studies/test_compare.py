"""A comparison: tuning, parts that are gone on with, what is forgotten, what a change takes, and the measures."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies import compare as compare_module
from widedeep_kb.studies.choosing import tune
from widedeep_kb.studies.compare import compare, prepare, read_parts
from widedeep_kb.studies.comparison import CompareConfig, Part, limit_answers
from widedeep_kb.studies.forgetting import Probes, default_texts, forgetting
from widedeep_kb.studies.measures import gain, measure, update_of, value_kind
from widedeep_kb.studies.stateless import Stateless
from widedeep_kb.studies.updates import draw_changes, update_cost
from widedeep_kb.systems.key_rag import KeyRAG
from widedeep_kb.systems.lookup import Lookup
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.protocol import Answer, Trained, Tunable
from widedeep_kb.systems.tuning import take_shots

NO_PROBES = Probes(pl.DataFrame(schema=QUESTION_SCHEMA), ())


def made_facts(num_subjects: int = 30) -> pl.DataFrame:
    """Subjects with a colour, a year and a code each; the first are the least known."""
    records = []
    for s in range(num_subjects):
        values = {"flag colour": f"colour {s % 7}", "founding year": str(1800 + s), "area code": f"QX-{s}"}
        records += [
            {"subject": f"Zorvan{chr(97 + s % 26)}{s}", "relation": relation, "object": value, "popularity": s}
            for relation, value in values.items()
        ]
    return facts_from_records(records)


def made_questions(facts: pl.DataFrame, *, num_questions: int = 24) -> pl.DataFrame:
    """A question about each of the first facts, in two phrasings in turn."""
    rows = [
        {
            "question": f"What is the {row['relation']} of {row['subject']}?",
            "answers": [row["object"]],
            "fact_id": row["fact_id"],
            "tags": ["trained" if i % 2 else "heldout", row["relation"]],
        }
        for i, row in enumerate(facts.head(num_questions).iter_rows(named=True))
    ]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


@pytest.fixture
def facts() -> pl.DataFrame:
    """See `made_facts`."""
    return made_facts()


class Settled:
    """A tunable, trained stand-in that is right about the share of facts that its setting says."""

    def __init__(self, *, seed: int = 0, max_seconds: float | None = None) -> None:
        self.seed, self.max_seconds, self.share, self.ingested = seed, max_seconds, 0.0, []
        self.history = {"steps": 3}

    def settings(self) -> Sequence[Mapping[str, object]]:
        return ({"share": 0.2}, {"share": 1.0}, {"share": 0.5})

    def use(self, setting: Mapping[str, object]) -> bool:
        self.share = float(setting["share"])
        return True

    def ingest(self, facts: pl.DataFrame) -> None:
        self.ingested.append((self.share, self.max_seconds))
        self.lookup = Lookup()
        self.lookup.ingest(facts)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        answers = self.lookup.generate(questions)
        return [
            a if zlib.crc32(q.encode()) % 10 < 10 * self.share else _wrong(a)
            for q, a in zip(questions, answers, strict=True)
        ]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        return [0.0] * len(questions)

    def size_bytes(self) -> int:
        return 10


def _wrong(answer: Answer) -> Answer:
    return Answer("nothing", None, [], 1, 1, answer.latency_ms)


def test_development_questions_are_about_facts_that_no_test_question_asks_for(facts: pl.DataFrame) -> None:
    questions = made_questions(facts)
    corpus = prepare(facts, questions, probes=NO_PROBES, num_dev=30)
    assert corpus.test.drop("tags").equals(questions.drop("tags")) and corpus.dev.height == 30
    assert not set(corpus.dev["fact_id"]) & set(questions["fact_id"])
    all_asked = prepare(facts, made_questions(facts, num_questions=90), probes=NO_PROBES, num_dev=20)
    assert all_asked.dev.height == 20 and all_asked.test.height == 70
    assert not set(all_asked.dev["fact_id"]) & set(all_asked.test["fact_id"])
    reworded = questions.with_columns(question=pl.lit("Tell me: ") + pl.col("question"))
    own = prepare(facts, reworded, probes=NO_PROBES, num_dev=10)
    assert own.dev.height == 10 and own.dev["question"].str.starts_with("Tell me").all(), "worded as the test is"
    assert own.test.height == 14 and not set(own.dev["fact_id"]) & set(own.test["fact_id"])


def test_what_cannot_be_compared_is_an_error(facts: pl.DataFrame) -> None:
    questions = made_questions(facts)
    with pytest.raises(ValueError, match="24 facts that are asked for are not among"):
        prepare(facts[50:], questions, probes=NO_PROBES, num_dev=5)
    with pytest.raises(ValueError, match="did you mean 'lookup'"):
        CompareConfig(systems=("lokup",))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        CompareConfig(systems=("lookup",), batch_size=0)
    with pytest.raises(ValueError, match="named twice"):
        CompareConfig(systems=("lookup", "lookup"))


def test_the_best_setting_is_built_last_and_the_budget_shared(facts: pl.DataFrame) -> None:
    corpus = prepare(facts, made_questions(facts), probes=NO_PROBES, num_dev=30)
    system, part = Settled(), Part("settled", 0)
    assert isinstance(system, Tunable) and isinstance(system, Trained)
    assert tune(system, corpus, part, seconds=80.0) is False  # its setting was not the last one tried
    assert part.setting == {"share": 1.0} and system.share == 1.0
    assert [share for share, _ in system.ingested] == [0.2, 1.0, 0.5]
    assert [given for _, given in system.ingested] == pytest.approx([20.0] * 3, abs=1.0)
    assert [entry["setting"]["share"] for entry in part.sweep] == [0.2, 1.0, 0.5]
    assert part.sweep[1]["exact_match"] == max(entry["exact_match"] for entry in part.sweep)


def test_a_comparison_is_gone_on_with(
    facts: pl.DataFrame, tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    corpus = prepare(facts, made_questions(facts), probes=Probes(made_questions(facts).head(3), ()), num_dev=12)
    config = CompareConfig(systems=("lookup", "closed_book"), seeds=(0, 1), max_new_tokens=4)
    told: list[str] = []
    run, asked = compare_module.run_system, []

    def noted(name: str, *args: object, **options: object) -> object:
        asked.append(name)
        if name == "closed_book" and len(asked) == 2:
            raise KeyboardInterrupt
        return run(name, *args, **options)

    monkeypatch.setattr(compare_module, "run_system", noted)
    with pytest.raises(KeyboardInterrupt):
        compare(corpus, lambda: lm, config, output=tmp_path / "c", tell=told.append)
    predictions = compare(corpus, lambda: lm, config, output=tmp_path / "c", tell=told.append)
    assert asked == ["lookup", "closed_book", "closed_book"]
    assert predictions.height == 2 * 24 and predictions["seed"].unique().to_list() == [0]
    assert predictions.filter(pl.col("system") == "lookup")["exact_match"].all()
    assert any("there already" in line for line in told)
    with pytest.raises(ValueError, match="holds another comparison: its config differ"):
        compare(corpus, lambda: lm, CompareConfig(systems=("lookup",), num_dev=13), output=tmp_path / "c")
    about = {"llm": "tiny"}
    metrics = measure(predictions, read_parts(tmp_path / "c"), facts=facts, about=about)
    json.dumps(metrics)
    own = metrics["systems"]["lookup"]
    assert own["overall"]["exact_match"] == 1.0
    assert own["gain"] == {"stateless": 0.0, "gain": 1.0, "normalised": 1.0, "normalised_best": 1.0}
    bare = metrics["systems"]["closed_book"]
    assert bare["gain"]["gain"] == 0.0 and bare["gain"]["stateless"] == bare["overall"]["exact_match"]
    assert set(own["by"]["phrasing"]) == {"trained", "heldout"}
    assert set(own["by"]["value_kind"]) == {"number", "phrase", "code"}
    assert own["update"]["share_right"] == 1.0 and own["update"]["share_moved"] == 0.0
    assert own["forgetting"]["share_answered"] == 1.0  # the probes of this test are answered by facts
    (difference,) = metrics["differences"]
    assert difference["system"] == "lookup" and difference["difference"] > 0.9


def test_changes_are_seen_by_the_next_question_and_nothing_else_moves(facts: pl.DataFrame) -> None:
    questions = made_questions(facts)
    system = Lookup()
    system.ingest(facts)
    changed, former = draw_changes(facts, questions, num_changed=6, seed=1)
    assert changed.height == 6 and set(former) <= set(questions["fact_id"])
    before = dict(facts.select("fact_id", "object").iter_rows())
    assert all(before[i] != value for i, value in zip(former, changed["object"], strict=True))
    from widedeep_kb.studies.evaluate import predict

    cost = update_cost(system, facts, questions, predict(system, questions), num_changed=6, seed=1)
    assert (cost.num_changed, cost.share_right, cost.share_stale, cost.share_moved) == (6, 1.0, 0.0, 0.0)


def test_forgetting_is_what_differs_from_the_bare_llm_in_the_same_prompt(
    facts: pl.DataFrame, tiny_frozen_lm: Callable[..., FrozenLM]
) -> None:
    from widedeep_kb.systems.closed_book import ClosedBook
    from widedeep_kb.systems.in_context import InContext

    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    related = made_questions(facts, num_questions=8)
    unrelated = related.with_columns(question=pl.Series([f"Who made the number {i}?" for i in range(8)]))
    from widedeep_kb.systems.prompts import PromptFormat

    for system, probes, expected in (
        (ClosedBook(lm, max_new_tokens=6), related, 0.0),
        (InContext(lm, max_new_tokens=6), unrelated, 0.0),
    ):
        system.prompt_format = PromptFormat(0, is_chat=False)
        system.ingest(facts)
        assert forgetting(system, Probes(probes, default_texts())).share_changed == expected


def test_gain_is_normalised_behind_the_means_by_each_ways_own_room() -> None:
    frame = pl.DataFrame({"exact_match": [True, True, True, False]})
    parts = [{"stateless_exact_match": 0.25}, {"stateless_exact_match": 0.25}]
    best = pl.DataFrame({"exact_match": [True, True, False, False]})
    found = gain(frame, parts, closed_book=best)
    assert found == {"stateless": 0.25, "gain": 0.5, "normalised": 0.666667, "normalised_best": 0.5}
    worse = gain(best, [{"stateless_exact_match": 0.75}], closed_book=None)
    assert worse == {"stateless": 0.75, "gain": -0.25, "normalised": -1.0, "normalised_best": None}
    assert gain(frame, [{"stateless_exact_match": 1.0}], closed_book=None)["normalised"] is None  # no room


def test_a_ways_stateless_self_reads_its_own_prompt_without_facts(
    facts: pl.DataFrame, tiny_frozen_lm: Callable[..., FrozenLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    questions, prompts = made_questions(facts, num_questions=4), []
    generate = lm.generate_texts

    def noted(texts: Sequence[str], **options: object) -> object:
        prompts.extend(texts)
        return generate(texts, **options)

    monkeypatch.setattr(lm, "generate_texts", noted)
    stateless = Stateless(questions, batch_size=4)
    shown = KeyRAG(lm, max_new_tokens=2)
    shown.ingest(facts)
    take_shots(shown, made_questions(facts, num_questions=12)[4:], num_shots=2)
    assert stateless.exact_match(shown) == stateless.exact_match(shown) == 0.0
    assert len(prompts) == 4 and prompts[0].count("Question: ") == 3  # asked once, behind two worked examples
    told = set(facts["object"]) - {shot.answer for shot in shown.shots}
    assert not any(value in prompts[0] for value in told)
    assert stateless.exact_match(Lookup()) == 0.0 and len(prompts) == 4  # no LLM, no answers


def test_kinds_of_values() -> None:
    kinds = {"12.5": "number", "-3": "number", "7%": "number", "1,204": "number", "12 km": "number", "QX-7": "code"}
    kinds |= {"a.b_c": "code", "USA": "code", "teal": "word", "Ada Lovelace": "phrase", "1.2.3-rc1": "code"}
    assert {value: value_kind(value) for value in kinds} == kinds


def test_the_worst_seed_of_a_change_is_kept_beside_the_mean() -> None:
    records = [
        {"num_changed": 9, "seconds": 1.0, "share_right": right, "share_moved": moved, "moved_interval": None}
        for right, moved in ((1.0, 0.0), (0.5, 0.2))
    ]
    found = update_of([*records, None])
    assert (found["share_right"], found["share_right_least"], found["share_moved_most"]) == (0.75, 0.5, 0.2)
    assert update_of([None]) is None


def test_answers_are_as_long_as_the_comparison_says_and_a_gpu_is_asked_as_many_at_once(
    tiny_frozen_lm: Callable[..., FrozenLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, config = tiny_frozen_lm("llama"), CompareConfig(systems=("lookup",), max_new_tokens=5, batch_size=7)
    memory = MemorySystem(KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm))))
    memory.lm = lm
    own = {system: system.batch_size for system in (KeyRAG(lm), memory)}
    for system, size in own.items():
        limit_answers(system, config)
        assert (system.max_new_tokens, system.batch_size) == (5, size)
    monkeypatch.setattr(FrozenLM, "device", torch.device("cuda"))
    for system in own:
        limit_answers(system, config)
        assert (system.max_new_tokens, system.batch_size) == (5, 7)
    assert (memory.options.max_new_tokens, memory.options.batch_size) == (5, 7)
    limit_answers(Lookup(), config)


def test_further_seeds_are_trained_in_the_first_ones_setting(
    facts: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_frozen_lm: Callable[..., FrozenLM]
) -> None:
    made: list[Settled] = []

    def make(_name: str, _lm: object, *, seed: int, max_seconds: float | None) -> Settled:
        made.append(Settled(seed=seed, max_seconds=max_seconds))
        return made[-1]

    monkeypatch.setattr(compare_module, "make_system", make)
    corpus = prepare(facts, made_questions(facts), probes=NO_PROBES, num_dev=12)
    config = CompareConfig(systems=("lora",), seeds=(3, 1), budget_minutes=1.0)
    compare(corpus, lambda: tiny_frozen_lm("llama"), config, output=tmp_path)
    first, second = made
    assert (first.seed, second.seed) == (3, 1)
    assert second.ingested == [(1.0, first.ingested[1][1])], "once, in the best setting, trained as long as that was"
    parts = {part["seed"]: part for part in read_parts(tmp_path)}
    assert len(parts[3]["sweep"]) == 3 and parts[1]["sweep"] == [] and parts[1]["tune_s"] == 0.0
    assert parts[1]["setting"] == parts[3]["setting"] == {"share": 1.0}
    assert parts[3]["update"] is not None and parts[1]["update"] is None
    predictions = pl.read_parquet(tmp_path / "predictions.parquet")
    own = measure(predictions, read_parts(tmp_path), facts=facts, about={})["systems"]["lora"]
    assert len(own["tuning"]["sweep"]) == 3 and own["costs"]["tune_s"] == parts[3]["tune_s"]
    assert own["overall"]["num_seeds"] == 2 and own["update"]["share_right"] == parts[3]["update"]["share_right"]
