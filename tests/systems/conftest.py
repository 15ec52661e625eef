"""Facts, questions and a tiny LLM for the tests of the systems."""

from collections.abc import Callable

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.lm import FrozenLM, LMIdentity
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems.sentence_vectors import SentenceEncoder


@pytest.fixture
def facts() -> pl.DataFrame:
    """Three subjects with three relations each; one alias, one statement of its own."""
    records = []
    for subject, birth, colour, height in (
        ("Zorvania", "1871", "teal", "12.5"),
        ("Quillfax Ridge", "1902", "ochre", "-3"),
        ("api.Widget", "1999", "mauve", "7%"),
    ):
        records += [
            {"subject": subject, "relation": "founding year", "object": birth},
            {"subject": subject, "relation": "flag colour", "object": colour},
            {"subject": subject, "relation": "mean height", "object": height},
        ]
    records[0]["statement"] = "Zorvania was founded in 1871, they say."
    for record in records[:3]:
        record["subject_aliases"] = ["Zorvanish Republic"]
    return facts_from_records(records)


@pytest.fixture(scope="session")
def tiny_lm(tiny_causal_lm: Callable[..., PreTrainedModel], tiny_tokenizer: PreTrainedTokenizerFast) -> FrozenLM:
    """A tiny random Llama as a frozen LLM, with room for a prompt of five shots."""
    model = tiny_causal_lm("llama", max_position_embeddings=2048)
    return FrozenLM(model, tiny_tokenizer, identity=LMIdentity("tiny", "0"))


@pytest.fixture
def fact_id_of(facts: pl.DataFrame) -> Callable[[str, str], str]:
    """`(subject, relation) -> fact_id`."""
    return lambda subject, relation: facts.row(
        by_predicate=(pl.col("subject") == subject) & (pl.col("relation") == relation), named=True
    )["fact_id"]


@pytest.fixture(scope="session")
def tiny_encoder() -> SentenceEncoder:
    """A tiny random BERT over single letters: texts that share letters are near each other."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.?%- "
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(BertConfig(vocab_size=len(vocab), **sizes), add_pooling_layer=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    return SentenceEncoder(model, fast, batch_size=4)
