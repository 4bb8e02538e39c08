"""The self-check: what is missing is said, what is broken ends in 1."""

from minilib import check
from minilib.errors import BadInput


def test_this_machine_passes(capsys):
    assert check.main([]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert all(line.startswith(("ok   ", "none ")) for line in lines)
    for word in (
        "python 3",
        " thread",
        "GPU",
        "video by PyAV: the right frames",
        "weights small_clip",
        "results go to",
    ):
        assert word in out
    assert any(line.startswith("none weights openai_clip_vit_b16") for line in lines)


def test_what_is_broken_is_bad(capsys, monkeypatch):
    def broken(path, indices, size=None, reader=None):
        raise BadInput("no decoder")

    monkeypatch.setattr("minilib.video.read_frames", broken)
    monkeypatch.setattr(check, "CHECKS", (check.video,))
    assert check.main([]) == 1
    assert capsys.readouterr().out.startswith("bad  video by PyAV: no decoder")


def test_shipped_weights_that_are_others_are_bad(capsys, monkeypatch):
    def resolve(name, root, check_hash):
        raise BadInput(f"weights {name}: its sha256 differs")

    monkeypatch.setattr("minilib.manifests.resolve", resolve)
    monkeypatch.setattr(check, "CHECKS", (check.weights,))
    assert check.main([]) == 1
    out = capsys.readouterr().out
    assert "bad  weights small_clip" in out and "none weights openai_clip_vit_b16" in out
