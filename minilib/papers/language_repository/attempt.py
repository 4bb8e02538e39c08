"""One command that lets any language model write and read the repository of one chronicle, and keeps what it said.

python -m minilib.papers.language_repository.attempt MODEL [--chunks 2 --words 40 --record FILE]

MODEL: a folder of `transformers`, a .gguf file, or http://... of a server with --name, whose key is read from
OPENAI_API_KEY. The record has every reply as it
came: a model that is too weak for the task is seen to be.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten

import torch

from minilib.claims import Table
from minilib.commands import answer, device_of
from minilib.environment import environment
from minilib.files import write_whole
from minilib.papers.language_repository.answers import generate, likeliest
from minilib.papers.language_repository.method import Writing, read, write
from minilib.papers.language_repository.models import LanguageModel
from minilib.papers.language_repository.own import bag_of_words, model_of
from minilib.papers.language_repository.released import Configuration, released_prompts
from minilib.world.chronicles import CHUNK, chronicle

RECORD = Path(__file__).with_name("smollm2.json")  # of SmolLM2-135M-Instruct
SENTENCE = "A red star moves for 160 seconds."


@dataclass
class Listening:
    """Another model, of which each reply is kept with its seconds: the processor's, whoever else uses it, and those by
    the clock, which are what a server takes."""

    model: LanguageModel
    calls: list[dict] = field(default_factory=list)

    def complete(self, prompt: str, most: int) -> str:
        start, clock = time.process_time(), time.perf_counter()
        reply = self.model.complete(prompt, most)
        spent, waited = time.process_time() - start, time.perf_counter() - clock
        self.calls.append(
            {"prompt": prompt, "reply": reply, "processor seconds": round(spent, 2), "seconds": round(waited, 2)}
        )
        return reply

    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        return self.model.log_likelihood(prompt, endings)


def attempt(model: LanguageModel, index: int, chunks: int, words: int, likelihood: bool = True) -> dict:
    """Chronicle `index` of the validation split, of so many chunks, written once at ratio 0.5 and read with its
    question in summaries of so many words; then answered both ways. The record is plain JSON."""
    told, question = chronicle(0, "val", index, chunks * CHUNK)
    captions = [(float(second), caption) for second, caption in enumerate(told.captions)]
    writing = Writing(chunks, merge_ratio=0.5)
    prompts = released_prompts(Configuration((writing,), tuple(range(chunks)), summary_words=words))
    prompts = replace(prompts, rephrase_most=15 * CHUNK, summary_most=2 * words)  # weak models do not stop
    heard = Listening(model)
    start, clock = time.process_time(), time.perf_counter()
    repository = write(captions, [writing], bag_of_words, heard, prompts, torch.Generator().manual_seed(index))
    found = read(repository, question.text, heard, prompts)
    said = generate(found.text, question.text, question.answers, heard, prompts)
    seconds, waited = time.process_time() - start, time.perf_counter() - clock
    return {
        "captions": list(told.captions),
        "repository": [[[list(e.times), e.text] for e in chunk] for chunk in repository.chunks],
        "groups without a line": repository.unanswered,
        "question": question.text,
        "answers": list(question.answers),
        "right": question.right,
        "read": found.text,
        "likeliest": likeliest(found.text, question.text, question.answers, model, prompts) if likelihood else None,
        "generated": {"reply": said.reply, "strict": said.strict, "lenient": said.lenient},
        "calls": heard.calls,
        "processor seconds": round(seconds, 1),
        "seconds": round(waited, 1),
    }


def shown(path: Path = RECORD) -> Table:
    """A record as a table: what was asked for, the end of each reply cut off, and what came of it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    right = record["answers"][record["right"]]
    lines = [
        (call["prompt"].strip().splitlines()[0][:80], shorten(call["reply"], 240), f"{call['processor seconds']:g}")
        for call in record["calls"]
    ]
    for way, at in (record["likeliest"] or {}).items():
        lines.append((f"likeliest answer, by {way}", f"{record['answers'][at]} (right: {right})", ""))
    caption = f"{record['model']}: {record['question']}"
    return Table(("asked", "replied", "processor seconds"), tuple(lines), caption=caption)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m minilib.papers.language_repository.attempt",
        description="One chronicle written and read by a language model",
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="a folder, a .gguf file, or the address of a server")
    parser.add_argument("--name", default="", help="the model's name on the server")
    parser.add_argument("--device", default="cpu", help="of a local model, cpu or cuda (default: cpu)")
    parser.add_argument("--chunks", type=int, default=2, help="of ten seconds each")
    parser.add_argument("--words", type=int, default=40, help="of each summary, as the prompt asks for")
    parser.add_argument("--chronicle", type=int, default=0, metavar="N", help="which one")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write all of it there as JSON")
    return answer(lambda: _run(parser.parse_args(arguments)))


def _run(args: argparse.Namespace) -> int:
    served, device = "://" in args.model, device_of(args.device)
    start = time.process_time()
    model = model_of(server=args.model, name=args.name) if served else model_of(args.model, device=device)
    loading = time.process_time() - start
    record = {"model": args.name or Path(args.model).name, "processor seconds to load": round(loading, 1)}
    record |= attempt(model, args.chronicle, args.chunks, args.words, likelihood=not served)
    if not served:
        replied = sum(len(model.ids(call["reply"], special=False)) for call in record["calls"])
        record["tokens a processor second"] = round(
            replied / sum(call["processor seconds"] for call in record["calls"]), 1
        )
        record["ids of a sentence"] = [SENTENCE, model.ids(SENTENCE).tolist()]
    where = environment()
    record |= {name: where[name] for name in ("device", "threads", "commit", "versions")}
    if args.record:
        write_whole(args.record, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    for call in record["calls"]:
        print(f"--- asked\n{call['prompt'].strip()}\n--- replied in {call['seconds']} s")
        print(call["reply"].strip())
    print(f"--- question: {record['question']}\nright: {record['answers'][record['right']]}")
    for way, at in (record["likeliest"] or {}).items():
        print(f"likeliest by {way}: {record['answers'][at]}")
    whose = "by the clock" if served else "of the processor"
    spent = record["seconds" if served else "processor seconds"]
    print(f"{record['groups without a line']} groups without a line; {spent} s {whose}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
