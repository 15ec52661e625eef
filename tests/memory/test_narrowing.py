"""A relation named in full rules out other facts of the same subject, and nothing else."""

import numpy as np

from widedeep_kb.memory.narrowing import GAP, NAMED, narrow
from widedeep_kb.memory.retrieval import Hits, Retriever

FACTS = [
    ("Aurora", "port"),
    ("Aurora", "port of the replica"),
    ("Aurora", "owner"),
    ("Boreas", "port"),
    ("Boreas", "owner"),
]


def retriever() -> Retriever:
    found = Retriever(8)
    found.add(
        np.arange(len(FACTS)),
        subjects=[subject for subject, _ in FACTS],
        aliases=[()] * len(FACTS),
        subject_ids=[subject for subject, _ in FACTS],
        relations=[relation for _, relation in FACTS],
    )
    return found


def recalled(text: str) -> set[tuple[str, str]]:
    index = retriever()
    hits = index.lookup([text])
    kept = narrow(hits, index.namings_of(hits.ordinals))
    assert (np.diff((kept.ordinals[0] >= 0).astype(int)) <= 0).all()  # facts first
    return {FACTS[i] for i in kept.ordinals[0] if i >= 0}


def test_a_relation_named_in_full_rules_out_the_others() -> None:
    assert recalled("Who is the owner of Aurora?") == {("Aurora", "owner")}


def test_without_a_named_relation_all_facts_stay() -> None:
    assert recalled("Who pays for Aurora?") == {fact for fact in FACTS if fact[0] == "Aurora"}


def test_each_subject_is_narrowed_for_itself() -> None:
    assert recalled("Do Aurora and Boreas have the same owner?") == {("Aurora", "owner"), ("Boreas", "owner")}


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng()
    ordinals = np.where(rng.random((200, 6)) < 0.8, rng.integers(0, 50, (200, 6)), -1)
    weights = np.where(ordinals >= 0, rng.random((200, 6)), 0).astype(np.float32)
    namings = np.where(ordinals >= 0, ordinals % 3, -1)
    zeros = np.zeros((200, 6), np.int8)
    found = narrow(Hits(ordinals, weights, zeros, zeros[:, 0], zeros[:, :3]), namings)
    for i in range(len(ordinals)):
        kept = []
        for o, w, n in zip(ordinals[i], weights[i], namings[i], strict=True):
            best = max(v for v, m in zip(weights[i], namings[i], strict=True) if m == n)
            if o >= 0 and (best < NAMED or w >= best - GAP):
                kept.append((o, w))
        expected = kept + [(-1, 0.0)] * (6 - len(kept))
        assert list(zip(found.ordinals[i], found.weights[i], strict=True)) == expected
