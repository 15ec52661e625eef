"""Wrappers: how a question becomes a plain prompt. (Chat prompts are made with the tokenizer's own chat template.)

In: the text of a question, a command or a keyword query. Out: the prompt whose continuation is " " and the answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrapper:
    """`prefix` + text + `suffix` is the prompt.

    `kind` is "raw" (nothing added), "qa" (labels around), "instruction" (a line of orders before) or "dialogue";
    `split` is "trained" or "heldout".
    """

    name: str
    prefix: str
    suffix: str
    kind: str
    split: str = "trained"

    def wrap(self, text: str) -> str:
        """The prompt for one question; it never ends in a space."""
        return f"{self.prefix}{text}{self.suffix}"


RAW = Wrapper("raw", "", "", "raw")
CANONICAL = Wrapper("canonical", "Question: ", "\nAnswer:", "qa")

WRAPPERS: tuple[Wrapper, ...] = (
    RAW,
    CANONICAL,
    Wrapper("q_a", "Q: ", "\nA:", "qa"),
    Wrapper("answer_line", "", "\nAnswer:", "qa"),
    Wrapper("answer_inline", "", " Answer:", "qa"),
    Wrapper("a_line", "", "\nA:", "qa"),
    Wrapper("blank_line", "Question: ", "\n\nAnswer:", "qa"),
    Wrapper("lower", "question: ", "\nanswer:", "qa"),
    Wrapper("hashes", "### Question\n", "\n### Answer:", "qa"),
    Wrapper("the_answer_is", "", "\nThe answer is", "qa"),
    Wrapper("brief", "Answer briefly.\n", "\nAnswer:", "instruction"),
    Wrapper(
        "one_phrase",
        "Answer the question with a single word, name or number.\n\nQuestion: ",
        "\nAnswer:",
        "instruction",
    ),
    Wrapper("instruction", "### Instruction:\n", "\n\n### Response:", "instruction"),
    Wrapper("facts_only", "Give only the fact that is asked for.\nQ: ", "\nA:", "instruction"),
    Wrapper("user_assistant", "User: ", "\nAssistant:", "dialogue"),
    Wrapper("human_bot", "Human: ", "\n\nBot:", "dialogue"),
    Wrapper("exam", "Exam paper, short answers.\n1. ", "\nYour answer:", "instruction", "heldout"),
    Wrapper("quoted", '"', '" - reply:', "qa", "heldout"),
    Wrapper("tagged", "<question>", "</question>\n<answer>", "qa", "heldout"),
    Wrapper("interview", "Interviewer: ", "\nExpert:", "dialogue", "heldout"),
)


def wrappers(split: str, kind: str | None = None) -> list[Wrapper]:
    """The wrappers of one split ("trained" or "heldout"), and of one kind where given.

    Raises:
        ValueError: for an unknown split, or a kind with no wrapper in it.
    """
    found = [wrapper for wrapper in WRAPPERS if wrapper.split == split and kind in (None, wrapper.kind)]
    if not found:
        raise ValueError(f"no wrapper of split {split!r} and kind {kind!r}")
    return found
