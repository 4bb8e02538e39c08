"""What a number was measured with: versions, commit, device, threads."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from minilib.files import IN_CHECKOUT, ROOT

PACKAGES = (
    "efficient-video-suite",
    "torch",
    "timm",
    "open_clip_torch",
    "diffusers",
    "transformers",
    "numpy",
    "decord",
    "av",
)


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """torch's threads where torch is loaded, else what the environment allows it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return torch.get_num_threads()
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return int(setting) if setting.isdigit() else cores()


@cache
def versions() -> dict[str, str]:
    """Python and the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """The checkout's commit, '-dirty' where files differ from it; None outside a checkout. `results/` may differ: rows
    are what is measured, not what measures."""
    describe = ["describe", "--always", "--abbrev=12", "--exclude=*"]
    if not IN_CHECKOUT:  # the repository around it, if there is one, is another
        return None
    found, changed = (_git(*each) for each in (describe, ["status", "--porcelain", "-uno", "--", ".", ":!results"]))
    return None if not found or changed is None else found + ("-dirty" if changed else "")


def _git(*words: str) -> str | None:
    try:
        command = ["git", "--no-optional-locks", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def is_clean(commit: str | None) -> bool:
    """Whether a commit names the code that ran: it is known, and no file differed from it."""
    return bool(commit) and not commit.endswith("-dirty")


@cache
def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device_name(device: str = "cpu") -> str:
    """'cpu' or 'cuda' as a reader knows it: the processor with the cores in use, or the GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name()
    return f"{cpu()}, {cores()} cores"


def environment(device: str = "cpu") -> dict[str, object]:
    """versions, commit, device and threads: the part of a row that no experiment chooses."""
    return {"versions": versions(), "commit": commit(), "device": device_name(device), "threads": threads()}
