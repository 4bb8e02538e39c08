"""What a language model must be able to do here, and a model from a local folder of `transformers` or a GGUF file.

The small world's own (`minilib.models.small_language`) and any chat server (`server`) are the two other ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from minilib.errors import BadInput


class LanguageModel(Protocol):
    """What writing, reading and answering ask of a language model."""

    def complete(self, prompt: str, most: int) -> str:
        """The reply to a prompt, of `most` tokens at most, the same each time."""
        ...

    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        """Of each ending after the prompt, (sum of its tokens' log-probabilities, number of tokens)."""
        ...


def complete_all(model: LanguageModel, prompts: Sequence[str], most: int) -> list[str]:
    """The replies to several prompts, "" to an empty one: together where the model has a `complete_all` of its own,
    else one after another."""
    asked = [prompt for prompt in prompts if prompt]
    together = getattr(model, "complete_all", None)
    replies = iter(together(asked, most) if together and asked else [model.complete(each, most) for each in asked])
    return [next(replies) if prompt else "" for prompt in prompts]


class LocalModel:
    """A causal language model of a local folder or of a quantised GGUF file, greedy, in single precision: in bfloat16
    answers tie.

    `chat`: prompts to complete go through the tokenizer's chat template, if it has one. An ending's tokens are those
    that it adds to the tokens of the prompt; where the last token of the prompt would be another with the ending behind
    it, the two are tokenized apart, so that each ending is scored after the same prompt.

    Raises BadInput where there is no such folder or file, it cannot be read, or transformers or gguf is not installed.
    """

    def __init__(self, path: Path | str, device: torch.device | str = "cpu", chat: bool = True):
        path = Path(path)
        quantised = path.suffix == ".gguf" and path.is_file()
        if not (quantised or path.is_dir()):
            raise BadInput(
                f"language model {path}: no such folder or .gguf file; give one that `save_pretrained` wrote"
            )
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise BadInput("a local language model needs transformers: pip install -e '.[language]'") from error
        folder, file = (path.parent, path.name) if quantised else (path, None)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True)
            self.model = AutoModelForCausalLM.from_pretrained(
                folder, gguf_file=file, local_files_only=True, dtype=torch.float32
            )
        except ImportError as error:
            raise BadInput(f"language model {path}: needs gguf: pip install -e '.[language]'") from error
        except (OSError, ValueError) as error:
            raise BadInput(f"language model {path}: cannot be read ({str(error).splitlines()[0][:200]})") from error
        self.model.to(device).eval()
        self.device, self.chat = torch.device(device), chat and self.tokenizer.chat_template is not None

    @torch.no_grad()
    def complete(self, prompt: str, most: int) -> str:
        """The most probable reply, of `most` tokens at most."""
        if self.chat:
            turns = [{"role": "user", "content": prompt}]
            prompt = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = self.ids(prompt, special=not self.chat)[None]
        pad = self.tokenizer.pad_token_id
        out = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=most,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id if pad is None else pad,
        )
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)

    @torch.no_grad()
    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        """(sum of log-probabilities, number of tokens) of each ending. Raises BadInput for one without tokens."""
        before = self.ids(prompt)
        found = []
        for ending in endings:
            whole = self.ids(prompt + ending)
            if len(whole) <= len(before) or not torch.equal(whole[: len(before)], before):
                whole = torch.cat([before, self.ids(ending, special=False)])
            if len(whole) == len(before):
                raise BadInput(f"answer {ending!r}: it has no tokens; leave it out")
            likely = self.model(whole[None]).logits[0].float().log_softmax(-1)
            added = whole[len(before) :]
            each = likely[len(before) - 1 : -1].gather(1, added[:, None])
            found.append((float(each.sum()), len(added)))
        return found

    def ids(self, text: str, special: bool = True) -> Tensor:
        """The tokens of a text, (n,), with what the tokenizer adds to a text of its own if `special`."""
        return torch.tensor(self.tokenizer(text, add_special_tokens=special)["input_ids"]).to(self.device)
