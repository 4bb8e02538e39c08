"""Claims files as they lie on the disk: one a paper, and the lock that keeps what was fixed before any row judged."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from minilib.claims.model import Claims
from minilib.errors import BadInput
from minilib.files import write_whole

FOLDER = Path(__file__).parent
LOCK = "lock.yaml"
CONTRADICTIONS = "contradictions.yaml"
HEAD = """\
# Headline marks, margins, tasks and pairs of all orderings, written by `python -m minilib.claims --lock` before the
# first row that judges. A test compares the claims files with it; a claim that moves is committed before its first row.
"""


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Plain YAML in which a key may not be there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def papers(folder: Path | str = FOLDER) -> list[str]:
    """Every paper with a claims file."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml") if path.name not in (LOCK, CONTRADICTIONS))


def load(paper: str, folder: Path | str = FOLDER) -> Claims:
    """The paper's claims. A wrong file is `BadInput` with the file, the claim and the key in one line."""
    known = papers(folder)
    if paper not in known:
        raise BadInput(f"paper {paper[:80]!r} has no claims; known are: {', '.join(known) or 'none yet'}")
    path = Path(folder) / f"{paper}.yaml"
    content = _read(path)
    try:
        return Claims.model_validate({**content, "paper": paper})
    except ValidationError as error:
        first, more = error.errors()[0], error.error_count() - 1
        where = list(first["loc"])
        if len(where) > 1 and where[0] == "claims" and isinstance(content["claims"][where[1]], dict):
            where[1] = content["claims"][where[1]].get("id", where[1])
        reason = first["msg"].removeprefix("Value error, ")
        rest = f" (and {more} more)" if more else ""
        line = f"{path.name}: {'.'.join(map(str, where)) or 'file'}: {reason}{rest}"
        raise BadInput(" ".join(line.split())[:500]) from error


def _read(path: Path) -> dict:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise BadInput(f"{path.name}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name}: not UTF-8 (byte {error.start})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path.name}: not YAML ({' '.join(str(error).split())[:300]})") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path.name}: must be a mapping with the keys experiment and claims")
    return content


def locked(folder: Path | str = FOLDER) -> dict[str, dict[str, dict]]:
    """{paper: {id: what is fixed}} of every ordering, sorted."""
    found = {}
    for claims in (load(paper, folder) for paper in papers(folder)):
        orderings = sorted((c for c in claims.claims if c.kind == "ordering"), key=lambda claim: claim.id)
        found[claims.paper] = {
            claim.id: {
                "headline": claim.headline,
                "margin": round(claim.margin, 9),
                "task": claim.task,
                "pairs": sorted((pair.model_dump() for pair in claim.pairs), key=lambda p: (p["better"], p["worse"])),
            }
            for claim in orderings
        }
    return found


def write_lock(folder: Path | str = FOLDER) -> Path:
    """Writes the lock file, whole or, where a claims file is wrong, not at all."""
    content = yaml.safe_dump(locked(folder), sort_keys=False, default_flow_style=None, width=118, allow_unicode=True)
    return write_whole(Path(folder) / LOCK, HEAD + content)


def differing(folder: Path | str = FOLDER) -> list[str]:
    """`paper.id` of every ordering that is not as the lock file has it, that it lacks, or that only it has."""
    fixed, now = _read(Path(folder) / LOCK), locked(folder)
    pairs = {(paper, id) for found in (fixed, now) for paper in found for id in found[paper]}
    return sorted(f"{p}.{i}" for p, i in pairs if fixed.get(p, {}).get(i) != now.get(p, {}).get(i))
