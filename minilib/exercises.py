"""Exercises that check themselves, and guesses: the reader's function against a right one, on inputs easy to get wrong.

What is checked gets copies of its inputs; what goes wrong inside is said in one line; the right answer is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch


def check(mine: Callable, right: Callable, cases: Iterable[tuple], tolerance: float = 1e-5) -> bool:
    """Runs both on every case and prints one line: solved, not solved yet (nothing returned), or where they part.

    Numbers and tensors are compared within `tolerance`, anything else exactly. A tuple is compared part by part.
    """
    name, count = mine.__name__, 0
    for case in cases:
        wanted = right(*deepcopy(case))
        try:
            answer = mine(*deepcopy(case))
        except Exception as error:
            print(f"{name}: stops on case {count} with {type(error).__name__}: {_short(error)}")
            return False
        if answer is None and wanted is not None:
            print(f"{name}: not solved yet")
            return False
        if wrong := _differ(answer, wanted, tolerance):
            print(f"{name}: not yet, case {count} {wrong}; its inputs are {', '.join(map(_short, case))}")
            return False
        count += 1
    print(f"{name}: solved, {count} cases")
    return True


def answered(mine: object, right: object, hint: str, tolerance: float = 1e-5) -> bool:
    """A question with one answer: prints right, not answered yet (None, or a None among several), or the hint."""
    if mine is None or (isinstance(mine, tuple) and None in mine):
        print("not answered yet")
        return False
    wrong = _differ(mine, right, tolerance)
    print(f"not yet: {hint}" if wrong else "right")
    return not wrong


def guessed(guess: float | None, found: float, unit: str) -> str:
    """A guess beside what was found; what was found alone where nobody guessed. `unit` with its space: ' %'."""
    if guess is None:
        return f"It is {found:.1f}{unit}. (You made no guess; try it with the next one.)"
    off = abs(guess - found)
    return f"You guessed {guess:g}{unit}; it is {found:.1f}{unit}, {off:.1f} {'above' if found > guess else 'below'}."


def _differ(answer: object, wanted: object, tolerance: float) -> str:
    """In what way the answer is wrong, without the right one; nothing where it is right."""
    if isinstance(wanted, tuple):
        if not isinstance(answer, tuple | list) or len(answer) != len(wanted):
            return f"gives {_short(answer)}, not {len(wanted)} things"
        return next((text for a, w in zip(answer, wanted, strict=True) if (text := _differ(a, w, tolerance))), "")
    if not isinstance(wanted, torch.Tensor | float | int | list):
        return "" if answer == wanted else f"gives {_short(answer)}"
    try:
        given, wanted = (torch.as_tensor(value).detach().double() for value in (answer, wanted))
    except (TypeError, ValueError, RuntimeError):  # lists of lists that are not of one length are no tensor
        return "" if isinstance(wanted, list) and answer == wanted else f"gives {_short(answer)}"
    if given.shape != wanted.shape:
        return f"has shape {tuple(given.shape)}, not {tuple(wanted.shape)}"
    return "" if torch.allclose(given, wanted, rtol=tolerance, atol=tolerance) else f"gives {_short(answer)}"


def _short(value: object) -> str:
    if isinstance(value, torch.Tensor) and value.numel() > 8:
        return f"a tensor of shape {tuple(value.shape)} with mean {value.double().mean():.4g}"
    return " ".join(str(value).split())[:100]
