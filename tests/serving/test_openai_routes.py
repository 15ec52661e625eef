"""The routes that OpenAI's own client knows, through that client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
import torch
from served import Served

from widedeep_kb.serving import requests
from widedeep_kb.serving.generating import Prompt, write_texts

QUESTION = "What is the port of Aurora?"


@pytest.fixture
def client(shared: Served) -> openai.OpenAI:
    """OpenAI's client of the shared server."""
    return openai.OpenAI(base_url=f"{shared.url}/v1", api_key="none", max_retries=0)


def greedy(served: Served, text: str, *, turns: list[str] | None, max_new_tokens: int) -> list[int]:
    """Tokens that Hugging Face's generate writes with the memory of `turns`, alone."""
    memory = served.memory
    input_ids = torch.tensor(memory.lm.encode([text]))
    binding, _ = memory.binding([turns or []], use_memory=turns is not None)
    with memory.hooks.bind(binding):
        made = memory.lm.model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=memory.lm.tokenizer.pad_token_id,
        )
    return made[0, input_ids.shape[1] :].tolist()


def test_models(shared: Served, client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["demo", shared.memory.lm.identity.name]
    assert client.models.retrieve(names[1]).id == names[1]
    with pytest.raises(openai.NotFoundError, match="no model is called 'other'"):
        client.models.retrieve("other")


@pytest.mark.parametrize("is_read", [True, False])
def test_completions_are_what_generate_writes(shared: Served, client: openai.OpenAI, is_read: bool) -> None:
    made = client.completions.create(model="demo", prompt=QUESTION, max_tokens=9, extra_body={"memory": is_read})
    tokens = greedy(shared, QUESTION, turns=[QUESTION] if is_read else None, max_new_tokens=9)
    assert made.choices[0].text == shared.memory.lm.tokenizer.decode(tokens, skip_special_tokens=True)
    assert made.choices[0].finish_reason in ("length", "stop")
    assert bool(made.choices[0].model_extra["evidence"]) == is_read
    assert made.usage.prompt_tokens == len(shared.memory.lm.encode([QUESTION])[0])
    assert made.usage.completion_tokens == len(tokens)
    bare = client.completions.create(model=shared.memory.lm.identity.name, prompt=QUESTION, max_tokens=9)
    assert (bare.choices[0].text == made.choices[0].text) == (not is_read)


def test_memory_by_name_echo_and_several_prompts(shared: Served, client: openai.OpenAI) -> None:
    prompts = [QUESTION, "Nothing at all", "The owner of Aurora is"]
    together = client.completions.create(model="demo", prompt=prompts, max_tokens=5, echo=True)
    alone = [client.completions.create(model="demo", prompt=prompt, max_tokens=5) for prompt in prompts]
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    for choice, prompt, one in zip(together.choices, prompts, alone, strict=True):
        assert choice.text == prompt + one.choices[0].text
    named = client.completions.create(
        model=shared.memory.lm.identity.name, prompt=QUESTION, max_tokens=5, extra_body={"memory": "demo"}
    )
    assert named.choices[0].text == alone[0].choices[0].text
    with pytest.raises(openai.NotFoundError, match="no memory is called 'else'"):
        client.completions.create(model="demo", prompt="x", extra_body={"memory": "else"})


def test_sampling_is_seeded_and_follows_the_probabilities(shared: Served, client: openai.OpenAI) -> None:
    options = {"model": "demo", "prompt": QUESTION, "max_tokens": 8, "temperature": 1.5, "n": 3}
    first, again, other = (client.completions.create(seed=seed, **options) for seed in (1, 1, 2))
    texts = [[choice.text for choice in made.choices] for made in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) > 1
    cold = client.completions.create(model="demo", prompt=QUESTION, max_tokens=8, temperature=1.5, top_p=1e-6)
    assert (
        cold.choices[0].text == client.completions.create(model="demo", prompt=QUESTION, max_tokens=8).choices[0].text
    )
    memory, drawn = shared.memory, []
    prompt = Prompt(tuple(memory.lm.encode([QUESTION])[0]), max_new_tokens=1, temperature=1.0)
    with torch.inference_mode():
        scores = memory.lm.model(torch.tensor([prompt.ids])).logits[0, -1].float()
    for start in range(0, 4000, 500):
        prompts = [Prompt(prompt.ids, max_new_tokens=1, temperature=1.0, seed=start + i) for i in range(500)]
        pieces: dict[int, str] = {}
        write_texts(memory, prompts, emit=pieces.__setitem__, is_cancelled=lambda _i: False)
        drawn += [pieces.get(i, "") for i in range(500)]
    token = int(scores.argmax())
    share = drawn.count(memory.lm.tokenizer.decode([token], skip_special_tokens=True)) / len(drawn)
    expected = float(scores.softmax(-1)[token])
    assert abs(share - expected) < 5 * (expected * (1 - expected) / len(drawn)) ** 0.5 + 1e-3


def test_stop_texts_end_an_answer_and_are_not_in_it(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="demo", prompt=QUESTION, max_tokens=20).choices[0].text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 3]
    made = client.completions.create(model="demo", prompt=QUESTION, max_tokens=20, stop=["never seen", stop])
    assert made.choices[0].text == whole[: whole.index(stop)]
    assert made.choices[0].finish_reason == "stop"
    pieces = list(client.completions.create(model="demo", prompt=QUESTION, max_tokens=20, stop=stop, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == made.choices[0].text


@pytest.mark.parametrize("n", [1, 3])
def test_streams_say_what_whole_answers_say(client: openai.OpenAI, n: int) -> None:
    options = {"model": "demo", "max_tokens": 12, "n": n, "temperature": 0.0 if n == 1 else 1.0, "seed": 5}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(messages=messages, **options)
    texts, reasons, usage, evidence = [""] * n, [None] * n, None, [None] * n
    for chunk in client.chat.completions.create(
        messages=messages, stream=True, stream_options={"include_usage": True}, **options
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
            evidence[choice.index] = choice.model_extra.get("evidence") or evidence[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage
    assert evidence == [choice.model_extra["evidence"] for choice in whole.choices]
    assert {fact["subject"] for fact in evidence[0]} == {"Aurora"}


def test_a_chat_is_looked_up_by_the_users_turns_only(client: openai.OpenAI) -> None:
    def facts(*messages: tuple[str, str]) -> set[str]:
        turns = [{"role": role, "content": content} for role, content in messages]
        made = client.chat.completions.create(model="demo", messages=turns, max_tokens=2)
        return {fact["subject"] for fact in made.choices[0].model_extra["evidence"]}

    assert facts(("system", "You know the port of Aurora."), ("user", "What is it?")) == set()
    assert facts(("user", "Who are you?"), ("assistant", "I am Aurora, on a port."), ("user", "Go on")) == set()
    assert facts(("user", "Tell me of Aurora"), ("assistant", "Well."), ("user", "Its port?")) == {"Aurora"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 65}, "at most 64, got 65"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3.0}, "temperature"),
        ({"stop": ""}, "stop: an empty text"),
        ({"prompt": ""}, "no token"),
        ({"prompt": "Aurora " * 600}, "more than the 512"),
        ({"prompt": ["x"] * 65}, "at most 64 in a call, got 65"),
        ({"logprobs": 3}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"extra_body": {"as_of": "2020-02-31"}}, "as_of"),
    ],
)
def test_mistakes_are_named(client: openai.OpenAI, options: dict, message: str) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        client.completions.create(**{"model": "demo", "prompt": QUESTION, **options})
    assert caught.value.status_code == 422
    assert caught.value.body["type"] == "invalid_request_error"


def test_errors_have_one_format(shared: Served) -> None:
    with shared.client() as client:
        answers = [
            client.post("/v1/completions", content=b"{", headers={"content-type": "application/json"}),
            client.post("/v1/completions", json={"model": "nobody", "prompt": "x"}),
            client.get("/v1/nothing"),
            client.put("/v1/completions"),
        ]
    assert [answer.status_code for answer in answers] == [400, 404, 404, 405]
    for answer in answers:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert "\n" not in answer.json()["error"]["message"]


def test_requests_share_batches_and_answer_as_if_alone(shared: Served) -> None:
    prompts = [f"{QUESTION} {'word ' * i}" for i in range(12)]
    memories = [i % 3 > 0 for i in range(12)]

    def ask(i: int) -> str:
        with shared.client() as client:
            body = {"model": "demo", "prompt": prompts[i], "max_tokens": 6 + i, "memory": memories[i]}
            return client.post("/v1/completions", json=body).json()["choices"][0]["text"]

    sizes: list[int] = []
    observe = shared.state.metrics.batch_size.observe
    shared.state.metrics.batch_size.observe = lambda size: (sizes.append(size), observe(size))
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(ask, range(12)))
    alone = [ask(i) for i in range(12)]
    assert together == alone
    assert max(sizes) > 2


def test_a_client_that_goes_away_stops_costing(shared: Served) -> None:
    shared.state.metrics.tokens.labels("written")
    before = shared.state.metrics.tokens.labels("written")._value.get()
    body = {"model": "demo", "prompt": QUESTION, "max_tokens": 64, "stream": True}
    with shared.client() as client, client.stream("POST", "/v1/completions", json=body) as answer:
        next(answer.iter_lines())
    with shared.client() as client:
        client.post("/v1/completions", json={**body, "stream": False, "max_tokens": 1})  # waits for the batch before
    assert shared.state.metrics.tokens.labels("written")._value.get() - before < 65


def test_a_full_queue_says_when_to_come_again(shared: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.state.batcher, "max_queue", 2)
    release = threading.Event()
    monkeypatch.setattr(requests, "write_texts", _after(release, requests.write_texts))
    answers: list[httpx.Response] = []

    def ask() -> None:
        with shared.client() as client:
            answers.append(client.post("/v1/completions", json={"model": "demo", "prompt": "x", "max_tokens": 1}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        if sum(answer.status_code == 429 for answer in answers) >= 4:
            break
        threading.Event().wait(0.02)
    release.set()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 4
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert sum(answer.status_code == 200 for answer in answers) == 8 - len(refused)


def _after(event: threading.Event, function):  # noqa: ANN001, ANN202 - whatever is wrapped
    """`function`, once an event has come."""

    def wait(*args: object, **options: object) -> object:
        event.wait(20)
        return function(*args, **options)

    return wait
