"""Language models from a local folder and from a server, tried against one on this machine that fails on purpose."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from minilib.batch.executed import code_cells, read_notebook
from minilib.batch.reproduce import plan
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS
from minilib.notebook import check_parameters
from minilib.papers.language_repository import attempt, own
from minilib.papers.language_repository.models import LocalModel
from minilib.papers.language_repository.server import Patience, ServedModel

SENTENCE = "a red star moves . what happens first ? red star"


@pytest.fixture
def server():
    """Replies by script: a text, a state, (state, Retry-After), "half" an answer, or seconds to sleep before "ok"."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            running.asked.append((self.path, asked))
            running.keys.append(self.headers.get("Authorization"))
            step = running.script.pop(0) if running.script else "ok"
            if isinstance(step, float):
                time.sleep(step)
                step = "ok"
            if isinstance(step, int | tuple):
                state, after = step if isinstance(step, tuple) else (step, None)
                self.send_response(state)
                if after is not None:
                    self.send_header("Retry-After", after)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"no")
                return
            body = json.dumps({"choices": [{"message": {"content": step}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if step == "half" else body)

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.script, running.asked, running.waits, running.keys = [], [], [], []
    running.url = f"http://127.0.0.1:{running.server_port}/v1"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def model(server, journal=None, patience=None):
    patience = patience or Patience()
    return ServedModel(server.url, "mistral", journal, patience=patience, sleep=server.waits.append)


def test_a_prompt_is_one_chat_turn_at_temperature_zero(server):
    server.script = ["für élan"]
    assert model(server).complete("wie geht's ?", 7) == "für élan"
    (path, asked), *_ = server.asked
    assert path == "/v1/chat/completions"
    assert asked["messages"] == [{"role": "user", "content": "wie geht's ?"}]
    assert (asked["max_tokens"], asked["temperature"]) == (7, 0)


@pytest.mark.parametrize("failure", [429, 500, 502, 503, 504, "half"])
def test_what_may_pass_is_asked_again_after_longer_and_longer_waits(server, failure):
    server.script = [failure, failure, failure, "at last"]
    assert model(server).complete("q", 5) == "at last"
    assert len(server.asked) == 4
    for wait, most in zip(server.waits, (1, 2, 4), strict=True):
        assert most / 2 <= wait <= most
    assert len({wait / most for wait, most in zip(server.waits, (1, 2, 4), strict=True)}) == 3  # jitter


def test_retry_after_is_heeded(server):
    server.script = [(429, "7"), (503, "not a number"), "ok"]
    model(server).complete("q", 5)
    assert server.waits[0] == 7 and 1 <= server.waits[1] <= 2


@pytest.mark.parametrize("state", [400, 401, 404])
def test_what_will_not_pass_is_asked_once(server, state):
    server.script = [state]
    with pytest.raises(BadInput, match=f"{state}.*no"):
        model(server).complete("q", 5)
    assert len(server.asked) == 1 and not server.waits


def test_a_slow_reply_is_waited_for_longer_the_next_time(server):
    server.script = [1.0, 1.0, 0.3]
    assert model(server, patience=Patience(read=0.2)).complete("q", 5) == "ok"
    assert len(server.asked) == len(server.waits) + 1 == 3


def test_a_server_that_stays_silent_is_one_line_and_what_it_said_before_is_kept(server, tmp_path):
    journal = tmp_path / "answers.jsonl"
    server.script = ["one", 0.5, 0.5]
    silent = model(server, journal, Patience(tries=2, read=0.1))
    assert silent.complete("a", 5) == "one"
    with pytest.raises(BadInput, match=r"no answer in 2 tries \(no reply in 0\.2 s; give `read` more"):
        silent.complete("b", 5)
    assert len(journal.read_text().splitlines()) == 1
    again = model(server, journal)
    assert again.complete("a", 5) == "one" and again.complete("b", 5) == "ok"


def test_tries_end_in_one_line(server):
    server.script = [500] * 9
    with pytest.raises(BadInput, match="no answer in 5 tries .500"):
        model(server).complete("q", 5)
    assert len(server.asked) == 5


def test_a_server_that_refuses(server):
    waits = []
    refusing = ServedModel("http://127.0.0.1:9/v1", "m", patience=Patience(tries=3), sleep=waits.append)
    with pytest.raises(BadInput, match="no answer in 3 tries"):
        refusing.complete("q", 5)
    assert len(waits) == 2


def test_answers_are_kept_as_they_come_and_never_asked_for_twice(server, tmp_path):
    journal = tmp_path / "answers.jsonl"
    server.script = ["one", "two", 400]
    first = model(server, journal)
    assert [first.complete(prompt, 5) for prompt in ("a", "b", "a")] == ["one", "two", "one"]
    with pytest.raises(BadInput):
        first.complete("c", 5)
    journal.write_bytes(journal.read_bytes() + b'{"asked": "torn')
    server.script = ["three"]
    second = model(server, journal)
    assert [second.complete(prompt, 5) for prompt in ("a", "b", "c")] == ["one", "two", "three"]
    assert len(server.asked) == 4
    assert len(journal.read_text().splitlines()) == 3
    assert second.complete("a", 6) == "ok"  # another length is another question


def test_other_files_are_no_journal(server, tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("my notes\n")
    with pytest.raises(BadInput, match=r"notes\.txt"):
        model(server, other)
    assert other.read_text() == "my notes\n"


def test_chat_has_no_likelihood(server):
    with pytest.raises(BadInput, match="generative"):
        model(server).log_likelihood("q", ["a"])
    with pytest.raises(BadInput, match="http://localhost"):
        ServedModel("localhost", "m")


# --- a local folder --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama with a word tokenizer that begins each text with <s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", *dict.fromkeys(SENTENCE.split())]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    path = tmp_path_factory.mktemp("llama")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    config = LlamaConfig(vocab_size=len(words), bos_token_id=0, eos_token_id=1, **sizes)
    LlamaForCausalLM(config).bfloat16().save_pretrained(path)
    return path


def test_likelihood_equals_the_loss_of_transformers(folder):
    local = LocalModel(folder)
    (total, tokens), (_, one) = local.log_likelihood("a red star", [" moves .", " star"])
    ids = local.ids("a red star moves .")
    labels = ids.clone()
    labels[:4] = -100  # <s> and the prompt
    loss = local.model(ids[None], labels=labels[None]).loss
    assert (tokens, one) == (2, 1)
    assert total == pytest.approx(-2 * loss.item(), rel=1e-5)


def test_single_precision_whatever_the_file_has(folder):
    assert {p.dtype for p in LocalModel(folder).model.parameters()} == {torch.float32}


def test_ids_of_a_sentence_are_pinned(folder):
    assert LocalModel(folder).ids("a red star moves .").tolist() == [0, 3, 4, 5, 6, 7]


def test_completion_is_greedy_and_without_the_prompt(folder):
    local = LocalModel(folder)
    reply = local.complete("a red star", 4)
    assert reply == local.complete("a red star", 4)
    ids = local.ids("a red star").tolist()
    for _ in range(4):
        ids.append(int(local.model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == 1:
            break
    assert reply == local.tokenizer.decode(ids[4:], skip_special_tokens=True)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    """A tiny Llama as GGUF, with a byte-pair tokenizer and a chat template, as SmolLM2 comes."""
    gguf = pytest.importorskip("gguf")
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"arestdmo.1234567890", "Ġ", "re", "Ġs", "ta", "Ġsta"]
    merges = ["r e", "Ġ s", "t a", "Ġs ta"]
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3, 3, 3] + [1] * (len(words) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}")
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(words), 32), "output": (len(words), 32)}
    shapes |= {f"blk.0.{name}": (32, 32) for name in ("attn_q", "attn_output")}
    shapes |= {f"blk.0.{name}": (16, 32) for name in ("attn_k", "attn_v")}
    shapes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    for name, shape in shapes.items():
        values = random.standard_normal(shape).astype(np.float32) / 8
        kind = gguf.GGMLQuantizationType.Q4_1
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_quantised_file_has_its_tokens_its_template_and_single_precision(quantised):
    local = LocalModel(quantised)
    assert local.ids("are stare").tolist() == [3, 23, 26, 23]  # a re Ġsta re
    assert local.ids("<|im_start|>a<|im_end|>").tolist() == [1, 3, 2]
    assert local.chat and {p.dtype for p in local.model.parameters()} == {torch.float32}
    (total, tokens), *_ = local.log_likelihood("a", [" sta"])
    assert tokens == 1 and total < 0
    assert isinstance(local.complete("a star", 3), str)


def test_a_broken_quantised_file_is_one_line(tmp_path):
    (path := tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(BadInput, match="broken.gguf: cannot be read") as caught:
        LocalModel(path)
    assert "\n" not in str(caught.value)


def test_bad_folders_and_answers(folder, tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        LocalModel(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot be read"):
        LocalModel(tmp_path)
    with pytest.raises(BadInput, match="no tokens"):
        LocalModel(folder).log_likelihood("a", [""])


# --- captions of one's own -------------------------------------------------------------------------------------------

PAGE = NOTEBOOKS / "11_language_repository.ipynb"
OWN = {
    "captions": [[second, f"a {'dog' if second % 2 else 'cat'} runs " + "away " * second] for second in range(8)],
    "question": "who runs ?",
    "answers": ["a bird", "a dog"],
}


def own_file(folder, **changes):
    path = folder / "own.json"
    path.write_text(json.dumps({name: value for name, value in (OWN | changes).items() if value is not None}))
    return path


def test_page_11_answers_captions_of_ones_own(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(own.KEY, "secret")
    server.script = [f"summary {part}" for part in range(4)] + ["B"]
    sources = code_cells(read_notebook(PAGE))
    names = {"own": own, "check_parameters": check_parameters}
    (settings,) = [source for source in sources if source.startswith("scale: str")]
    exec(settings, names)
    names |= {"scale": "paper", "device": "cpu", "out_dir": str(tmp_path), "captions": str(own_file(tmp_path))}
    names |= {"server": server.url, "server_model": "its name"}
    (check,) = [source for source in sources if "own.read_asked(" in source]
    (last,) = [source for source in sources if "own.answered(" in source]
    exec(check.split("measurements =")[0] + last, names)
    shown = capsys.readouterr().out
    assert all(f"summary {part}" in shown for part in range(4)) and "answer: a dog\n" in shown
    assert {asked["model"] for _, asked in server.asked} == {"its name"} and set(server.keys) == {"Bearer secret"}
    assert "B: a dog" in server.asked[-1][1]["messages"][0]["content"]
    count = len(server.asked)
    exec(check.split("measurements =")[0] + last, names)
    assert capsys.readouterr().out == shown and len(server.asked) == count  # all of it was kept


def test_the_paper_scale_of_page_11_needs_no_data_root(tmp_path):
    assert len(plan([PAGE], tmp_path, "paper", settings={"captions": "own.json", "server": "http://a/v1"})) == 1
    with pytest.raises(BadInput, match="needs data_root"):
        plan([NOTEBOOKS / "02_zeroi2v.ipynb"], tmp_path, "paper")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"captions": None}, "captions must be a list"),
        ({"captions": [[0, ""]]}, "it is empty"),
        ({"question": 3}, "question must be a text"),
        ({"answers": ["a", 2]}, "the answer 2 must be a text"),
        ({"answers": ["a"]}, "1 answers"),
    ],
)
def test_files_of_captions_that_are_wrong(changes, said, tmp_path):
    with pytest.raises(BadInput, match=said) as caught:
        own.read_asked(own_file(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_captions_that_cannot_be_read_and_models_that_are_not_said(tmp_path):
    (tmp_path / "no.json").write_text("{")
    for name, said in (("no.json", "not JSON"), ("none.json", "cannot be read"), ("", "cannot be read")):
        with pytest.raises(BadInput, match=said):
            own.read_asked(tmp_path / name)
    for given in ({}, {"local": "folder", "server": "http://a/v1"}):
        with pytest.raises(BadInput, match="a language model: give"):
            own.model_of(**given)


def test_a_trial_of_a_server_sends_its_key_and_says_the_seconds_by_the_clock(server, monkeypatch, capsys):
    monkeypatch.setenv(own.KEY, "secret")
    server.script = [0.3]
    assert attempt.main([server.url, "--name", "its name", "--chunks", "1"]) == 0
    shown = capsys.readouterr().out
    first = float(shown.split("--- replied in ")[1].split(" s")[0])
    assert first >= 0.3 and "s by the clock" in shown
    assert set(server.keys) == {"Bearer secret"}
    for device in ("tpu", "cuda:9"):
        assert attempt.main([server.url, "--device", device]) == 2
        assert f"--device {device}: must be cpu or cuda" in capsys.readouterr().err
