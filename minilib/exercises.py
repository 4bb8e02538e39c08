"""Exercises that check themselves: the reader's function against a right one, on inputs easy to get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch


def check(mine: Callable, right: Callable, cases: Iterable[tuple], tolerance: float = 1e-5) -> bool:
    """Runs both on every case and prints one line: solved, not solved yet (nothing returned), or where they part.

    Numbers and tensors are compared within `tolerance`, anything else exactly.
    """
    name, count = mine.__name__, 0
    for case in cases:
        try:
            answer = mine(*case)
        except Exception as error:
            print(f"{name}: stops on case {count} with {type(error).__name__}: {error}")
            return False
        if answer is None:
            print(f"{name}: not solved yet")
            return False
        wanted = right(*case)
        if not _agree(answer, wanted, tolerance):
            print(f"{name}: case {count} gives {_short(answer)}, right is {_short(wanted)}")
            return False
        count += 1
    print(f"{name}: solved, {count} cases")
    return True


def _agree(answer: object, wanted: object, tolerance: float) -> bool:
    if not isinstance(wanted, torch.Tensor | float | int | list | tuple):
        return answer == wanted
    try:
        answer, wanted = torch.as_tensor(answer).double(), torch.as_tensor(wanted).double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return answer.shape == wanted.shape and bool(torch.allclose(answer, wanted, rtol=tolerance, atol=tolerance))


def _short(value: object) -> str:
    if isinstance(value, torch.Tensor) and value.numel() > 8:
        return f"a tensor of shape {tuple(value.shape)} with mean {value.double().mean():.4g}"
    return " ".join(str(value).split())[:100]
