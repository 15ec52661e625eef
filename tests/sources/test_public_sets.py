"""Each public data set, read from tiny made-up files with the columns of the real ones."""

import json
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import statement_prefix
from widedeep_kb.sources import Corpus, load_corpus


def write(folder: Path, name: str, rows: list[dict]) -> None:
    folder.mkdir(exist_ok=True)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / name)


def objects(corpus: Corpus, subject: str, relation: str) -> list[str]:
    is_wanted = (pl.col("subject") == subject) & (pl.col("relation") == relation)
    return corpus.facts.filter(is_wanted)["object"].to_list()


def question(corpus: Corpus, text: str) -> dict:
    (row,) = corpus.questions.filter(pl.col("question") == text).to_dicts()
    return row


def test_entityquestions(tmp_path: Path) -> None:
    folder = tmp_path / "entityquestions"
    ask = "Where was {} born?".format
    write(folder, "train.parquet", [
        {"relation": "P19", "subject": "Ann Lee", "question": ask("Ann Lee"), "answers": ["Rome"]},
        {"relation": "P19", "subject": "Ann Lee", "question": ask("Ann Lee"), "answers": ["Oslo", "Kiel"]},
    ])
    write(folder, "dev.parquet", [
        {"relation": "P17", "subject": "Elm", "question": "Which country is Elm located in?", "answers": ["Chad"]},
    ])
    templates = {"P19": "Where was [X] born?", "P19_similar": "Birthplace of [X]?"}
    templates |= {"P17": "Nation of [X]?", "P50": "[X]"}
    (folder / "relation_query_templates.json").write_text(json.dumps(templates))
    corpus = load_corpus("entityquestions", data_dir=tmp_path)
    assert objects(corpus, "Ann Lee", "place of birth") == ["Rome", "Oslo", "Kiel"]
    asked = question(corpus, "Where was Ann Lee born?")
    assert asked["answers"] == ["Rome", "Oslo", "Kiel"] and "ambiguous" in asked["tags"]
    assert question(corpus, "Which country is Elm located in?")["tags"] == ["entityquestions", "country", "word"]
    assert corpus.templates == {
        "place of birth": ["Where was {subject} born?", "Birthplace of {subject}?"],
        "country": ["Nation of {subject}?"],
    }
    assert set(corpus.facts["source"]) == {"entityquestions/train", "entityquestions/dev"}


def test_pararel_takes_patterns_that_end_in_the_object(tmp_path: Path) -> None:
    folder = tmp_path / "pararel"
    write(folder, "trex_facts.parquet", [{"relation": "P19", "subject": "Ann", "object": "Rome", "uuid": "1"}])
    patterns = ["[X] was  born in [Y] .", "[Y] is the birthplace of [X]."]
    write(folder, "patterns.parquet", [{"relation": "P19", "pattern": text} for text in patterns])
    corpus = load_corpus("pararel", data_dir=tmp_path)
    assert corpus.templates == {"place of birth": ["{subject} was born in"]}
    assert corpus.dropped == {"patterns not ending in the object": 1}
    assert question(corpus, "Ann was born in")["answers"] == ["Rome"]


def test_lre_leaves_stereotypes_out(tmp_path: Path) -> None:
    folder = tmp_path / "lre_relations"
    write(folder, "facts.parquet", [
        {"category": "factual", "relation": "company CEO", "subject": "Acme", "object": "Ann Lee"},
        {"category": "bias", "relation": "name gender", "subject": "Kim", "object": "man"},
    ])
    write(folder, "relations.parquet", [
        {"category": "factual", "relation": "company CEO", "prompt_templates": ["{}'s CEO is"],
         "prompt_templates_zs": ["Who is the CEO of {}? Their name is", "{}'s CEO is"]},
    ])
    corpus = load_corpus("lre", data_dir=tmp_path)
    assert objects(corpus, "Acme", "CEO") == ["Ann Lee"] and corpus.facts.height == 1
    assert corpus.templates == {"CEO": ["{subject}'s CEO is", "Who is the CEO of {subject}? Their name is"]}
    assert corpus.dropped == {"category bias": 1}


def test_fb15k237_has_ids_names_and_distinct_relations(tmp_path: Path) -> None:
    folder = tmp_path / "fb15k237"
    currency = "./measurement_unit/dated_money_value/currency"
    triples = [
        {"s": "/m/1", "r": "/film/film/genre", "o": "/m/2"},
        {"s": "/m/1", "r": "/film/film/genre", "o": "/m/3"},
        {"s": "/m/1", "r": f"/film/film/estimated_budget{currency}", "o": "/m/3"},
        {"s": "/m/1", "r": f"/business/operation/revenue{currency}", "o": "/m/3"},
        {"s": "/m/1", "r": "/music/artist/genre", "o": "/m/9"},
    ]
    write(folder, "train.parquet", triples)
    write(folder, "valid.parquet", [{"s": "/m/2", "r": "/people/person/spouse_s", "o": "/m/1"}])
    write(folder, "test.parquet", triples[:1])
    write(folder, "entities.parquet", [
        {"mid": "/m/1", "name": "Elm", "label": "The Elm", "aliases": ["Elm", "Elm tree"]},
        {"mid": "/m/2", "name": "Drama", "label": None, "aliases": None},
        {"mid": "/m/3", "name": "Euro", "label": "Euro", "aliases": ["EUR"]},
    ])
    corpus = load_corpus("fb15k237", data_dir=tmp_path)
    assert objects(corpus, "Elm", "genre") == ["Drama", "Euro"]
    assert set(corpus.facts["relation"]) == {"genre", "currency", "estimated budget currency", "spouse"}
    first = corpus.facts.row(0, named=True)
    assert (first["subject_id"], first["subject_aliases"]) == ("/m/1", ["The Elm", "Elm tree"])
    assert objects(corpus, "Drama", "spouse") == ["Elm"]
    assert corpus.dropped == {"mid without a name": 1}
    assert corpus.questions.height == 0 and corpus.templates == {}


def test_simplequestions_accepts_all_values_and_gives_templates(tmp_path: Path) -> None:
    ask = "/film/film_genre/films"
    write(tmp_path / "simplequestions_test", "simplequestions_test_named.parquet", [
        {"question": "name a drama film", "subject": "Drama", "predicate": ask, "object": "Elm"},
        {"question": "what is a drama", "subject": "Drama", "predicate": ask, "object": "Oak"},
        {"question": "where", "subject": "Ann", "predicate": "/people/person/place_of_birth", "object": "Rome"},
    ])
    corpus = load_corpus("simplequestions", data_dir=tmp_path)
    asked = question(corpus, "name a drama film")
    assert asked["answers"] == ["Elm", "Oak"] and asked["tags"] == ["simplequestions", "films", "word", "ambiguous"]
    assert "unnamed_subject" in question(corpus, "where")["tags"]
    assert corpus.templates == {"films": ["name a {subject} film"]}


def test_movie_qa_makes_a_relation_of_each_role(tmp_path: Path) -> None:
    ask = "Who acted as {} in the movie '{}'?".format
    write(tmp_path / "movie_qa", "train.parquet", [
        {"Question": ask("Dr. {No}", "Ann's Day"), "Answer": "Bo Ray"}, {"Question": ask("", "Elm"), "Answer": "Ed"},
    ])
    corpus = load_corpus("movie_qa", data_dir=tmp_path)
    assert objects(corpus, "Ann's Day", "actor who played Dr. {No}") == ["Bo Ray"]
    assert corpus.dropped == {"question without a role": 1}
    assert question(corpus, ask("Dr. {No}", "Ann's Day"))["answers"] == ["Bo Ray"]
    texts = corpus.templates["actor who played Dr. {No}"]
    assert texts[0].replace("{subject}", "Ann's Day") == ask("Dr. {No}", "Ann's Day") and len(texts) == 8


def test_mquake_splits_edits_with_the_help_of_the_questions(tmp_path: Path) -> None:
    rows = [
        ("The author of The Is is Of is Jo", ["Who wrote The Is is Of?", "Which book did Jo write?", "Who is it?"]),
        ("Bo is a citizen of Isle of Man", ["What is Bo's nationality?"]),
        ("The Mayor of Elm is Ann Lee", ["Who is the mayor of Elm?", "Is Ann Lee the mayor of Elm?"]),
        ("Nothing of the known kind", ["What?"]),
    ]
    write(tmp_path / "mquake", "edits_with_4_questions.parquet", [{"edit": e, "questions": q} for e, q in rows])
    corpus = load_corpus("mquake", data_dir=tmp_path)
    assert objects(corpus, "The Is is Of", "author") == ["Jo"]
    assert objects(corpus, "Bo", "country of citizenship") == ["Isle of Man"]
    assert objects(corpus, "Elm", "Mayor") == ["Ann Lee"]
    assert corpus.dropped == {"question without its subject, or with the answer": 3, "edit not parsed": 1}
    assert corpus.questions["question"].to_list() == [rows[0][1][0], rows[1][1][0], rows[2][1][0]]
    assert corpus.templates["country of citizenship"] == ["What is {subject}'s nationality?"]
    assert statement_prefix(corpus.facts.row(0, named=True)) == "The author of The Is is Of is"


@pytest.mark.parametrize(
    ("template", "relation"),
    [
        ("The mother tongue of {} is", "mother tongue"), ("The headquarters of {} is in", "headquarters in"),
        ("{}'s capital is", "capital"), ("{} was born in", "was born in"),
        ("In {}, they understand", "language understood"),
    ],
)
def test_counterfact_relations(template: str, relation: str, tmp_path: Path) -> None:
    prompt = template.replace("{}", "Ann")
    row = {"subject": "Ann", "relation_template": template, "prompt": prompt, "target_new": "Oslo", "exact": True,
           "statement_new": f"{prompt} Oslo", "case_id": 1}
    write(tmp_path / "counterfact", "edits_even.parquet", [row, {**row, "exact": False}])
    corpus = load_corpus("counterfact", data_dir=tmp_path)
    assert objects(corpus, "Ann", relation) == ["Oslo"] and corpus.dropped == {"statement not its template": 1}
    assert statement_prefix(corpus.facts.row(0, named=True)) == prompt
    assert question(corpus, prompt)["tags"] == ["counterfact", relation, "word", "statement"]
    assert corpus.templates == {relation: [template.replace("{}", "{subject}")]}


def test_yago11k_dates(tmp_path: Path) -> None:
    row = {"split": "train", "subject": "Ann (actress)", "relation": "isMarriedTo", "object": "Bo"}
    dates = [("1925-04-23", "1974-##-##"), ("19##-##-##", "####-##-##"), ("2015-##-##", "978-##-##"),
             ("2015-##-##", "2011-##-##"), ("2015-02-31", "####-##-##")]
    rows = [{**row, "object": f"Bo {i}", "start": start, "end": end} for i, (start, end) in enumerate(dates)]
    write(tmp_path / "yago11k_time", "facts.parquet", rows)
    corpus = load_corpus("yago11k", data_dir=tmp_path)
    assert corpus.facts.select("valid_from", "valid_to").rows() == [
        ("1925-04-23", "1974-12-31"), (None, None), ("2015-01-01", None), (None, None), ("2015-01-01", None),
    ]
    assert corpus.dropped["dates left empty: malformed"] == 2
    first = corpus.facts.row(0, named=True)
    assert (first["relation"], first["subject_aliases"]) == ("is married to", ["Ann"])
    assert statement_prefix(first) == "Ann (actress) is married to"


def test_time_sensitive_questions_accept_the_values_of_their_dates(tmp_path: Path) -> None:
    row = {"split": "train", "subject_link": "/wiki/Elm_House_(Rome)", "relation": "P127"}
    ask = "Who owned the Elm House {}?".format
    write(tmp_path / "time_sensitive_qa", "train.parquet", [
        {**row, "question": ask("from 1811 to Feb 1828"), "answers": ["Bo D . Ray"]},
        {**row, "question": ask("from 1828 to 1830"), "answers": ["Ann"]},
        {**row, "question": ask("in 1831"), "answers": ["Ed"]},
        {**row, "question": "Who owned it from 1840 to 1841?", "answers": ["Ed"]},
    ])
    corpus = load_corpus("time_sensitive", data_dir=tmp_path)
    assert corpus.facts.select("object", "valid_from", "valid_to").rows() == [
        ("Bo D. Ray", "1811-01-01", "1828-02-29"), ("Ann", "1828-01-01", "1830-12-31"),
    ]
    assert question(corpus, ask("from 1828 to 1830"))["answers"] == ["Ann"]
    assert corpus.questions["fact_id"].to_list() == corpus.facts["fact_id"].to_list()
    assert corpus.dropped == {"without dates, answer or subject": 2}
