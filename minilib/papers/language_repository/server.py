"""A server that speaks the OpenAI chat protocol: asked patiently, and never twice for what it has answered.

Asked again are refused, broken or silent connections, half answers and the states 429, 500, 502, 503 and 504: after
what Retry-After says, else after 1, 2, 4, ... seconds, each with a random part. A reply that takes too long is waited
for twice as long the next time, for a slow model may still be at work on the first question. Answers are appended to a
file as they come, so that nothing is asked for again after an interruption.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minilib.errors import BadInput

AGAIN = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """tries in all; first, the seconds before the second, doubled each time up to `longest`; read, the seconds that a
    reply may take, doubled after each that takes longer."""

    tries: int = 5
    first: float = 1.0
    longest: float = 60.0
    read: float = 600.0

    def seconds(self, failed: int, after: str | None, uniform: float) -> float:
        """How long to wait after so many failures: Retry-After where the server says it in seconds, else a back-off of
        which half is random, `uniform` in [0, 1)."""
        if after is not None and after.strip().isdigit():
            return min(float(after), self.longest)
        return min(self.first * 2 ** (failed - 1), self.longest) * (0.5 + 0.5 * uniform)


class ServedModel:
    """`url` up to "/v1"; `model` as the server calls it; `journal`, a file of answers, read first and appended to;
    `key` goes along as a bearer token. Raises BadInput for another kind of address, and for a journal that is none."""

    def __init__(
        self,
        url: str,
        model: str,
        journal: Path | str | None = None,
        key: str = "",
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
    ):
        if not url.startswith(("http://", "https://")):
            raise BadInput(f"server {url!r}: give its address, such as http://localhost:8000/v1")
        self.url, self.model, self.key = url.rstrip("/"), model, key
        self.patience, self.sleep = patience, sleep
        self.journal = None if journal is None else Path(journal)
        self.known = {} if self.journal is None else _read_journal(self.journal)

    def complete(self, prompt: str, most: int) -> str:
        """The reply at temperature 0; an answer that the journal has is not asked for again. Raises BadInput where the
        server refuses, or does not answer in all tries."""
        asked = {"model": self.model, "messages": [{"role": "user", "content": prompt}]}
        asked |= {"max_tokens": most, "temperature": 0}
        body = json.dumps(asked, sort_keys=True).encode()
        key = hashlib.sha256(self.url.encode() + body).hexdigest()
        if key not in self.known:
            self.known[key] = self._ask(body)
            if self.journal is not None:
                self.journal.parent.mkdir(parents=True, exist_ok=True)
                with self.journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"asked": key, "reply": self.known[key]}) + "\n")
        return self.known[key]

    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        """Raises BadInput: a chat server does not tell it."""
        raise BadInput(f"server {self.url}: chat has no log-likelihood of a given text; use the generative answer")

    def _ask(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        why, read = "", self.patience.read
        for failed in range(1, self.patience.tries + 1):
            after = None
            request = urllib.request.Request(f"{self.url}/chat/completions", body, headers)
            try:
                with urllib.request.urlopen(request, timeout=read) as reply:
                    return str(json.loads(reply.read())["choices"][0]["message"]["content"] or "")
            except urllib.error.HTTPError as error:
                if error.code not in AGAIN:
                    raise BadInput(f"server {self.url}: {error.code} {error.reason}: {_said(error)}") from error
                why, after = f"{error.code} {error.reason}", error.headers.get("Retry-After")
            except (TimeoutError, urllib.error.URLError) as error:
                reason = getattr(error, "reason", error)
                why = str(reason)
                if isinstance(reason, TimeoutError):
                    why, read = f"no reply in {read:g} s; give `read` more, or ask for less", 2 * read
            except (http.client.HTTPException, ConnectionError, ValueError, KeyError, IndexError, TypeError) as error:
                why = f"half an answer ({type(error).__name__})"
            if failed < self.patience.tries:
                self.sleep(self.patience.seconds(failed, after, random.random()))
        raise BadInput(
            f"server {self.url}: no answer in {self.patience.tries} tries ({why}); what it answered before is kept"
        )


def _said(error: urllib.error.HTTPError) -> str:
    """The beginning of what a server says beside its state; nothing where that does not come."""
    try:
        return " ".join(error.read(200).decode(errors="replace").split())
    except (OSError, http.client.HTTPException):
        return ""


def _read_journal(path: Path) -> dict[str, str]:
    """Answers that are whole; a last line that an interruption cut off is cut away, so that the next begins anew."""
    if not path.is_file():
        return {}
    known, whole = {}, 0
    content = path.read_bytes()
    for line in content.splitlines(keepends=True):
        try:
            entry = json.loads(line)
            known[entry["asked"]] = entry["reply"]
        except (ValueError, KeyError, TypeError):
            if line.endswith(b"\n"):
                raise BadInput(f"{path}: a line in it is no answer of a server; name another file") from None
            break
        whole += len(line)
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
    return known
