"""`reflexion`: the LLM practises, is told right or wrong, and keeps notes to itself about what it got wrong.

The trials are those of Reflexion (Shinn et al. 2023, arXiv 2303.11366): try, reflect on a wrong answer in words, try
again with the reflections in the prompt; no weight changes. The paper reflects on the very tasks that it is scored on.
Here a question is never told whether its own answer is right: it is shown what was noted of similar practice questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.metrics import clean_prediction
from widedeep_kb.systems.key_rag import KeyRAG
from widedeep_kb.systems.prompts import Context
from widedeep_kb.systems.word_ranker import WordRanker

ASK = (
    "This answer was marked as wrong. It may be the wrong value, or the right value in the wrong form. "
    "Say in one or two sentences what went wrong and how to answer such a question better."
)
_EXAMPLES = (  # made up: a value cut short, and a value of another property
    (
        ("The lowest temperature of Karsk is -41.",),
        "How cold does it get in Karsk?",
        "41",
        "I left out the minus sign. I should copy the value exactly as the fact gives it.",
    ),
    (
        ("The opening year of Vell Museum is 1931.", "The architect of Vell Museum is Ida Moor."),
        "Who designed Vell Museum?",
        "1931",
        "I gave the year, but the question asks for a person. I should take the fact that the question is about.",
    ),
)


class Trial(NamedTuple):
    """One attempt at a practice question.

    Attributes:
        question: raw text.
        facts: the sentences shown with it.
        answer: what the LLM wrote, and its token counts.
    """

    question: str
    facts: tuple[str, ...]
    answer: Generation


class Reflexion(KeyRAG):
    """Facts found by exact keys, and reflections on the practice questions that share the most words with the question.

    The last reflection on each practice question is kept. Without practice this is `key_rag`.

    Args:
        lm: the frozen LLM; it answers and it reflects.
        num_reflections: most reflections in the prompt of a question; its own, if it was practised, is left out.
        num_trials: most attempts at a practice question.
        capacity: most reflections kept; the oldest go first.
        max_reflection_tokens: most tokens of a reflection, which is one line.
        **options: as in `KeyRAG`.

    Attributes:
        history: of the last practice: its questions, the share of them that was right by trial 1, 2 and so on, the
            reflections kept, and the tokens that the LLM read and wrote for all of it.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        lm: FrozenLM,
        *,
        num_reflections: int = 1,
        num_trials: int = 3,
        capacity: int = 100,
        max_reflection_tokens: int = 64,
        **options: object,
    ) -> None:
        super().__init__(lm, **options)
        self.num_reflections, self.num_trials = num_reflections, num_trials
        self.capacity, self.max_reflection_tokens = capacity, max_reflection_tokens
        least = {"num_reflections": 0, "num_trials": 1, "capacity": 1, "max_reflection_tokens": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        self.history: dict[str, object] = {}
        self._ranker = WordRanker()
        self._keep({})

    @property
    def reflections(self) -> dict[str, str]:
        """The reflection kept on each practice question, the oldest first."""
        return dict(self._reflections)

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first, and what was practised."""
        super().ingest(facts)
        self.history = {}
        self._keep({})

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`.

        A reflection on a question that finds other facts than before is dropped: it may quote a former value.
        """
        asked = list(self._reflections)
        before = self.contexts(asked, fact_ids=None) if asked else []
        super().update(facts)
        after = self.contexts(asked, fact_ids=None) if asked else []
        is_kept = {question: one == other for question, one, other in zip(asked, before, after, strict=True)}
        self._keep({question: text for question, text in self._reflections.items() if is_kept[question]})

    def practise(self, questions: Sequence[str], is_right: Callable[[int, str], bool]) -> None:
        """Try each question until it is right, at most `num_trials` times; reflect on each wrong answer but the last.

        Args:
            questions: raw texts.
            is_right: whether a text answers the question at a place of `questions`; asked once a trial.

        Raises:
            ValueError: no questions, one is a worked example, or a prompt is too long for the LLM.
        """
        if not questions:
            raise ValueError("there are no questions to practise on")
        self._refuse_shots(questions, fact_ids=None)
        own: list[list[str]] = [[] for _ in questions]  # all reflections on each question, for its retries
        pending, share_right, written = list(range(len(questions))), [], []
        for number in range(1, self.num_trials + 1):
            trials = self._attempt([questions[i] for i in pending], [own[i] for i in pending])
            written += [trial.answer for trial in trials]
            wrong = [(i, trial) for i, trial in zip(pending, trials, strict=True) if not is_right(i, trial.answer.text)]
            pending = [i for i, _ in wrong]
            share_right.append(1 - len(pending) / len(questions))
            if number < self.num_trials:
                reflected = self._reflect([trial for _, trial in wrong])
                written += reflected
                for i, reflection in zip(pending, reflected, strict=True):
                    own[i] += [reflection.text.strip()] if reflection.text.strip() else []
        latest = {question: texts[-1] for question, texts in zip(questions, own, strict=True) if texts}
        self._keep({q: text for q, text in self._reflections.items() if q not in latest} | latest)
        self.history = {
            "num_questions": len(questions),
            "share_right": share_right,
            "num_reflections": len(self._reflections),
            "prompt_tokens": sum(one.num_prompt_tokens for one in written),
            "generated_tokens": sum(one.num_generated_tokens for one in written),
        }

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Numbers of reflections with one fact, and numbers of facts with the default number of reflections."""
        counts = ((1, 1), (3, 1), (0, 1), (1, 3), (1, 8))
        return [{"num_reflections": num_reflections, "top_k": top_k} for num_reflections, top_k in counts]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; what was ingested and practised stays."""
        self.num_reflections = int(setting["num_reflections"])
        return super().use(setting)

    def size_bytes(self) -> int:
        """Bytes of the facts, of the exact index and, where they are shown, of the reflections and what ranks them."""
        if not self.num_reflections:
            return super().size_bytes()
        texts = sum(len(question.encode()) + len(text.encode()) for question, text in self._reflections.items())
        return super().size_bytes() + texts + self._ranker.size_bytes

    def _fit_all(self, questions: Sequence[str], contexts: Sequence[Context]) -> list[tuple[str, Context]]:
        """As in `PromptedSystem`, with the reflections that each question recalls."""
        recalled = self._recall(questions)
        return super()._fit_all(questions, [_behind(*pair) for pair in zip(contexts, recalled, strict=True)])

    def _recall(self, questions: Sequence[str]) -> list[list[str]]:
        """A line for each reflection on another question that is shown with each question, the nearest first."""
        kept = list(self._reflections.items())
        lines = []
        for question, ranking in zip(questions, self._ranker.rank(questions, top_k=max(1, len(kept))), strict=True):
            others = [kept[i] for i in ranking if kept[i][0] != question]
            lines.append([f'Note on the question "{q}": {text}' for q, text in others[: self.num_reflections]])
        return lines

    def _attempt(self, questions: Sequence[str], own: Sequence[Sequence[str]]) -> list[Trial]:
        """An answer to each practice question, its own reflections in the prompt and no others."""
        if not questions:
            return []
        contexts = self.contexts(questions, fact_ids=None)
        lines = [[f"Note on a wrong answer to this question: {text}" for text in texts] for texts in own]
        fitted = super()._fit_all(questions, [_behind(*pair) for pair in zip(contexts, lines, strict=True)])
        answers = self._write([prompt for prompt, _ in fitted])
        return [
            Trial(question, context.statements[: len(context.fact_ids)], answer)
            for question, (_, context), answer in zip(questions, fitted, answers, strict=True)
        ]

    def _reflect(self, trials: Sequence[Trial]) -> list[Generation]:
        """What the LLM notes of each wrong trial."""
        prompts = [self._reflection_prompt(trial) for trial in trials]
        return self.lm.generate_texts(prompts, max_new_tokens=self.max_reflection_tokens, batch_size=self.batch_size)

    def _reflection_prompt(self, trial: Trial) -> str:
        """Two worked examples, the trial and `ASK`, with as many of its facts as there is room for.

        Raises:
            ValueError: it is too long even without facts.
        """
        most = self.lm.model.config.get_text_config().max_position_embeddings - self.max_reflection_tokens
        answer = clean_prediction(trial.answer.text) or "(nothing)"
        has_chat = self.lm.tokenizer.chat_template is not None
        shots = [(_told(facts, question, given), note) for facts, question, given, note in _EXAMPLES]
        for num_facts in range(len(trial.facts), -1, -1):
            told = _told(trial.facts[:num_facts], trial.question, answer)
            plain = [*(f"{shown}\nNote: {note}" for shown, note in shots), f"{told}\nNote:"]
            prompt = self.lm.chat_prompt(told, shots=shots) if has_chat else "\n\n".join(plain)
            num_tokens = len(self.lm.encode([prompt])[0])
            if num_tokens <= most:
                return prompt
        raise ValueError(f"a prompt of {num_tokens} tokens exceeds the LLM's {most}: {trial.question[:60]!r}")

    def _keep(self, reflections: Mapping[str, str]) -> None:
        """Replace the reflections by the latest `capacity` of these."""
        self._reflections = dict(list(reflections.items())[-self.capacity :])
        self._ranker.index(list(self._reflections))


def _told(facts: Sequence[str], question: str, answer: str) -> str:
    """A wrong trial and what is wanted of the LLM."""
    return "\n".join([*facts, f"Question: {question}", f"Your answer: {answer}", ASK])


def _behind(context: Context, lines: Sequence[str]) -> Context:
    """Reflections behind the facts: next to the question, and the first to go where the LLM has no room."""
    return Context((*context.statements, *lines), context.fact_ids)
