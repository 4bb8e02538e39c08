"""Batches one step ahead of a GPU: the same ones, each made once and in order, in another thread."""

import threading
import time

import pytest
import torch

from minilib.prefetch import ahead, pinned
from minilib.world import train_batches

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_batches_are_the_same_wherever_they_are_made(count):
    batches = train_batches("motion", 0, 4, 2)
    steps = range(3, 3 + count)
    for (clips, labels), (own, own_labels), step in zip(
        ahead(batches, steps, GPU), ahead(batches, steps, CPU), steps, strict=True
    ):
        assert torch.equal(clips, own) and torch.equal(labels, own_labels)
        assert torch.equal(clips, batches(step)[0])


def test_only_a_gpu_has_the_next_one_made_meanwhile():
    def batches(step):
        made.append((step, threading.current_thread() is threading.main_thread()))
        return torch.tensor([step]), "label"

    for device, seen in ((CPU, [(5, True)]), (GPU, [(5, False), (6, False)])):
        made = []
        found = ahead(batches, range(5, 9), device)
        assert next(found)[0] == 5
        end = time.monotonic() + 10
        while len(made) < len(seen) and time.monotonic() < end:
            time.sleep(0.01)
        assert made == seen, "and no further than one step"
        assert [int(first) for first, _ in found] == [6, 7, 8] and len(made) == 4


def test_an_error_in_the_thread_comes_out_at_its_step():
    def batches(step):
        if step == 2:
            raise KeyboardInterrupt
        return (step,)

    found = ahead(batches, range(5), GPU)
    assert [next(found), next(found)] == [(0,), (1,)]
    with pytest.raises(KeyboardInterrupt):
        next(found)


def test_only_tensors_of_the_cpu_are_pinned(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: x + 1)
    assert pinned(torch.zeros(1)) == 1 and pinned("label") == "label"
    assert pinned(torch.zeros(1, device="meta")).device.type == "meta"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pinned(torch.zeros(1)) == 0
