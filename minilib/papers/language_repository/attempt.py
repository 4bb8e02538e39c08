"""One command that lets any language model write and read the repository of one chronicle, and keeps what it said.

python -m minilib.papers.language_repository.attempt MODEL [--chunks 2 --words 40 --record FILE]

MODEL: a folder of `transformers`, a .gguf file, or http://... of a server with --name. The record has every reply as it
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
from torch import Tensor

from minilib.claims import Table
from minilib.commands import answer
from minilib.environment import environment
from minilib.files import write_whole
from minilib.papers.language_repository.answers import generate, likeliest
from minilib.papers.language_repository.method import Writing, read, write
from minilib.papers.language_repository.models import LanguageModel, LocalModel
from minilib.papers.language_repository.released import Configuration, released_prompts
from minilib.papers.language_repository.server import ServedModel
from minilib.world.chronicles import CHUNK, chronicle

RECORD = Path(__file__).with_name("smollm2.json")  # of SmolLM2-135M-Instruct
SENTENCE = "A red star moves for 160 seconds."


@dataclass
class Listening:
    """Another model, of which each reply is kept with the processor's seconds, whoever else uses it."""

    model: LanguageModel
    calls: list[dict] = field(default_factory=list)

    def complete(self, prompt: str, most: int) -> str:
        start = time.process_time()
        reply = self.model.complete(prompt, most)
        self.calls.append(
            {"prompt": prompt, "reply": reply, "processor seconds": round(time.process_time() - start, 2)}
        )
        return reply

    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        return self.model.log_likelihood(prompt, endings)


def bag_of_words(texts: Sequence[str]) -> Tensor:
    """n texts -> (n, d), how often each of the d words of all of them occurs: it needs no model, and the chronicles'
    captions say the same in the same words."""
    words = sorted({word for text in texts for word in text.split()})
    return torch.tensor([[float(text.split().count(word)) for word in words] for text in texts])


def attempt(model: LanguageModel, index: int, chunks: int, words: int, likelihood: bool = True) -> dict:
    """Chronicle `index` of the validation split, of so many chunks, written once at ratio 0.5 and read with its
    question in summaries of so many words; then answered both ways. The record is plain JSON."""
    told, question = chronicle(0, "val", index, chunks * CHUNK)
    captions = [(float(second), caption) for second, caption in enumerate(told.captions)]
    writing = Writing(chunks, merge_ratio=0.5)
    prompts = released_prompts(Configuration((writing,), tuple(range(chunks)), summary_words=words))
    prompts = replace(prompts, rephrase_most=15 * CHUNK, summary_most=2 * words)  # weak models do not stop
    heard = Listening(model)
    start = time.process_time()
    repository = write(captions, [writing], bag_of_words, heard, prompts, torch.Generator().manual_seed(index))
    found = read(repository, question.text, heard, prompts)
    said = generate(found.text, question.text, question.answers, heard, prompts)
    seconds = time.process_time() - start
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
    parser.add_argument("--device", default="cpu", help="of a local model")
    parser.add_argument("--chunks", type=int, default=2, help="of ten seconds each")
    parser.add_argument("--words", type=int, default=40, help="of each summary, as the prompt asks for")
    parser.add_argument("--chronicle", type=int, default=0, metavar="N", help="which one")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write all of it there as JSON")
    return answer(lambda: _run(parser.parse_args(arguments)))


def _run(args: argparse.Namespace) -> int:
    start = time.process_time()
    served = args.model.startswith(("http://", "https://"))
    model = ServedModel(args.model, args.name) if served else LocalModel(args.model, args.device)
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
        print(f"--- asked\n{call['prompt'].strip()}\n--- replied in {call['processor seconds']} s")
        print(call["reply"].strip())
    print(f"--- question: {record['question']}\nright: {record['answers'][record['right']]}")
    for way, at in (record["likeliest"] or {}).items():
        print(f"likeliest by {way}: {record['answers'][at]}")
    print(f"{record['groups without a line']} groups without a line; {record['processor seconds']} s of the processor")
    return 0


if __name__ == "__main__":
    sys.exit(main())
