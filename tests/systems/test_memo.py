"""MeMo: what the memory model learns, what each of the two models is asked, what it costs, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest
import torch

from widedeep_kb.likelihood import loglikelihoods
from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.memo import MeMo, names_in
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import Context, PromptFormat, Shot
from widedeep_kb.systems.protocol import Altering, Trained, Tunable, Updatable
from widedeep_kb.systems.tuning import questions_from_facts, tune_format

QUESTION = "What is the flag colour of Zorvania?"
QUESTIONS = [QUESTION, "Who wrote Hamlet?", "What is the founding year of Quillfax Ridge?"]
PLAIN = PromptFormat(0, is_chat=False)


class ScriptedLM(FrozenLM):
    """Writes what a script says, and notes what it was asked."""

    def __init__(self, lm: FrozenLM, script: Callable[[str], str]) -> None:
        super().__init__(lm.model, lm.tokenizer, identity=lm.identity)
        self.script, self.asked, self.written = script, [], []

    def generate_texts(self, prompts: Sequence[str], **_: object) -> list[Generation]:
        """A text for each prompt, with its true number of tokens."""
        texts = [self.script(prompt) for prompt in prompts]
        sizes = [[len(row) for row in self.encode(part)] for part in (prompts, texts)]
        found = [Generation(text, *counts) for text, *counts in zip(texts, *sizes, strict=True)]
        self.asked += prompts
        self.written += found
        return found


def scripted(lm: FrozenLM) -> MeMo:
    """A system whose LLM names Zorvania and Hamlet wherever it is asked for names, and whose memory says what it is."""
    system = MeMo(ScriptedLM(lm, lambda prompt: " Zorvania; hamlet" if prompt.endswith("Names:") else " teal"))
    system.prompt_format = PLAIN
    system.memory = ScriptedLM(lm, lambda prompt: f" said {len(prompt)}\n")
    return system


@pytest.fixture
def system(tiny_lm: FrozenLM) -> MeMo:
    """For a tiny model."""
    made = MeMo(tiny_lm, prompt_format=PLAIN, max_new_tokens=4)
    made.lr, made.least_steps, made.train_batch_size, made.max_note_tokens = 1e-2, 1, 9, 12
    return made


def test_the_memory_learns_the_facts_and_the_llm_is_left_alone(system: MeMo, facts: pl.DataFrame) -> None:
    assert isinstance(system, PromptedSystem) and isinstance(system, Trained) and isinstance(system, Tunable)
    assert not isinstance(system, Altering) and not isinstance(system, Updatable)
    before = {name: tensor.clone() for name, tensor in system.lm.model.state_dict().items()}
    system.epochs, system.every = 150, 4  # two of the four layers
    system.ingest(facts)
    assert system.history["steps"] == 150
    assert system.history["loss_last"] < 0.4 * system.history["loss_first"]
    colours = ["teal", "ochre", "mauve"]
    for place, subject in enumerate(("Zorvania", "Quillfax Ridge", "api.Widget")):
        prompts = [ask_prompt(f"What is the flag colour of {subject}?")] * len(colours)
        likely = loglikelihoods(system.memory, prompts, [f" {colour}" for colour in colours])
        assert likely.pop(place) > max(likely) + 1.0
    assert before.keys() == system.lm.model.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in system.lm.model.state_dict().items())
    assert not any(p.requires_grad for p in system.lm.model.parameters())


def test_the_memory_is_asked_the_question_and_about_what_it_names(tiny_lm: FrozenLM) -> None:
    system = scripted(tiny_lm)
    answers = system.generate(QUESTIONS[:2])
    overviews = ["What is known about Zorvania?", "What is known about hamlet?"]
    prompts = [ask_prompt(text) for text in (QUESTION, overviews[0], QUESTIONS[1], overviews[1])]
    assert system.memory.asked == prompts
    first, second = ([f"said {len(prompt)}" for prompt in prompts[i : i + 2]] for i in (0, 2))
    assert system.lm.asked[2:] == [
        f"{QUESTION} {first[0]}\n{overviews[0]} {first[1]}\nQuestion: {QUESTION}\nAnswer:",
        f"{QUESTIONS[1]} {second[0]}\n{overviews[1]} {second[1]}\nQuestion: {QUESTIONS[1]}\nAnswer:",
    ]
    for prompt, question in zip(system.lm.asked[:2], QUESTIONS[:2], strict=True):
        assert prompt.endswith(f"Question: {question}\nNames:")
    assert [answer.text for answer in answers] == [" teal", " teal"]
    system.use({"max_names": 0})
    (notes,) = system.notes([QUESTION])
    assert notes.context == Context((f"{QUESTION} {first[0]}",)) and len(system.lm.asked) == 4


def test_tokens_of_both_models_are_counted(tiny_lm: FrozenLM) -> None:
    system = scripted(tiny_lm)
    for questions in (QUESTIONS, QUESTIONS[:1]):
        for lm in (system.lm, system.memory):
            lm.written.clear()
        answers = system.generate(questions)
        written = [*system.lm.written, *system.memory.written]
        assert sum(answer.prompt_tokens for answer in answers) == sum(one.num_prompt_tokens for one in written)
        assert sum(answer.generated_tokens for answer in answers) == sum(one.num_generated_tokens for one in written)
        assert all(answer.evidence == [] for answer in answers)


def test_names_are_kept_where_the_question_holds_them() -> None:
    question = "Which is larger, Quillfax Ridge or Washington, D.C.?"
    assert names_in(question, " quillfax  ridge; Washington, D.C.; Oslo") == ["quillfax  ridge", "Washington, D.C."]
    assert names_in(question, "Oslo") == names_in(question, " ; ") == names_in(question, "") == []
    assert names_in(question, "Quillfax Ridge; quillfax ridge") == ["quillfax ridge"]


def test_fewer_layers_take_fewer_bytes_and_only_training_settings_train_again(
    system: MeMo, facts: pl.DataFrame
) -> None:
    assert system.size_bytes() == 0 and system.use(system.settings()[0])
    system.epochs, sizes = 1, []
    for every in (1, 4):
        system.use({"every": every})
        system.ingest(facts)
        sizes.append(system.size_bytes())
    whole = sum(p.numel() * p.element_size() for p in system.lm.model.parameters())
    assert whole == sizes[0] > sizes[1] > 0
    assert not system.use({"max_names": 0, "lr": system.lr, "every": 4})
    assert system.use({"lr": 0.5}) and system.use({"every": 2}) and (system.lr, system.every) == (0.5, 2)


def test_the_same_seed_gives_the_same_answers(system: MeMo, facts: pl.DataFrame) -> None:
    found = []
    for seed in (0, 0, 1):
        system.seed, system.epochs = seed, 4
        system.ingest(facts)
        answers = [(answer.text, answer.prompt_tokens) for answer in system.generate(QUESTIONS)]
        found.append((answers, system.loglikelihood([QUESTION], ["teal"]), system.history["loss_last"]))
    assert found[0] == found[1] != found[2]


def test_training_ends_when_its_time_is_up(system: MeMo, facts: pl.DataFrame) -> None:
    system.epochs, system.max_seconds = 10_000, 0.5
    system.ingest(facts)
    assert 1 <= system.history["steps"] < 10_000 and system.history["seconds"] < 20


def test_its_prompt_format_is_tuned(system: MeMo, facts: pl.DataFrame) -> None:
    system.epochs = 1
    system.ingest(facts)
    dev = questions_from_facts(facts, excluded=(), num_questions=9, seed=0)
    choice = tune_format(system, dev, formats=(PLAIN, PromptFormat(2, is_chat=False)))
    assert choice.num_questions == 7 and len(system.shots) == 2
    assert all(shot.context.statements[0].startswith(shot.question) for shot in system.shots)


def test_a_question_that_is_too_long_is_refused(system: MeMo, facts: pl.DataFrame) -> None:
    system.epochs = 1
    system.ingest(facts)
    for max_names in (0, 2):
        system.use({"max_names": max_names})
        with pytest.raises(ValueError, match=r"a prompt of \d+ tokens exceeds the LLM's \d+: '.*long"):
            system.generate(["Who is " + "long " * 2048])
    with pytest.raises(ValueError, match="a worked example in the prompt answers what is asked"):
        system.shots, system.prompt_format = (Shot(QUESTION, "teal"),), PromptFormat(1, is_chat=False)
        system.generate([QUESTION])
