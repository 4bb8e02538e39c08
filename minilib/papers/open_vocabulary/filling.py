"""What a masked autoencoder fills in, drawn with and without what only the hidden patches know.

With normalised pixels as target, a prediction has mean 0 and deviation 1, and needs both again to be drawn. Taken from
the hidden patch itself they are a leak: brightness and colour come out right whatever was predicted.

Axes: b clips, t frames, u steps, r and c patches, h and w pixels, n = u r c tokens, p pixels of a token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minilib.models.tubelets import gather, places, tubelets
from minilib.models.videomae import MaskedAutoencoder
from minilib.papers.open_vocabulary.pretrain.driver import WEIGHTS
from minilib.papers.open_vocabulary.pretrain.encoders import ENCODERS, small_autoencoder

GREY = 128


def shipped_autoencoder() -> MaskedAutoencoder:
    """The shipped video encoder with the decoder that it was trained with."""
    return small_autoencoder(WEIGHTS / "video_encoder.safetensors", ENCODERS["video_normalised"])


def from_tokens(tokens: Tensor, shape: tuple[int, int, int], tubelet: int, patch: int) -> Tensor:
    """Tokens (b, n, p * 3) back to frames (b, t, h, w, 3): `tubelets` undone; shape is (u, r, c)."""
    cut = tokens.unflatten(1, shape).unflatten(-1, (tubelet, patch, patch, 3))  # b u r c tt p p 3
    b, u, r, c, *_ = cut.shape
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, u * tubelet, r * patch, c * patch, 3)


def nearest_seen(hidden: Tensor, rows: int, columns: int) -> Tensor:
    """For each place the nearest one that is not hidden: bool (b, r c) -> int64 (b, r c)."""
    at = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    far = torch.cdist(at, at)[None] + 1e6 * hidden[:, None]
    return far.argmin(-1)


@torch.no_grad()
def fillings(model: MaskedAutoencoder, frames: Tensor, hidden: Tensor) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Pictures uint8 (b, t, h, w, 3) by what they take from where, and their mean squared errors on hidden pixels, and
    that of the neighbours' means without a model, as shares of the error of grey. frames uint8 (b, t, h, w, 3), hidden
    bool (b, n), the same places in all steps."""
    encoder = model.encoder
    predicted = model(encoder.normalise(frames), hidden).float().unflatten(-1, (-1, 3))  # (b, m, p, 3)
    cut = tubelets(frames.movedim(-1, 2) / 255.0, encoder.tubelet, encoder.patch)
    shape, cut = tuple(cut.shape[1:4]), cut.flatten(1, 3).unflatten(-1, (-1, 3))  # (b, n, p, 3)
    mean, std = cut.mean(2, keepdim=True), cut.std(2, keepdim=True)
    gone, area = places(hidden), shape[1] * shape[2]
    step = torch.arange(shape[0])[:, None] * area
    near = (step[None] + nearest_seen(hidden[:, :area], *shape[1:])[:, None]).flatten(1).gather(1, gone)
    take = lambda values, at: gather(values.flatten(2), at).unflatten(-1, values.shape[2:])  # noqa: E731
    own, neighbour = ((take(mean, at), take(std, at)) for at in (gone, near))
    answers = {
        "hidden": torch.full_like(predicted, GREY / 255),
        "its own mean and contrast": predicted * own[1] + own[0],
        "its neighbour's": predicted * neighbour[1] + neighbour[0],
        "its own mean, no model": own[0].expand_as(predicted),
    }
    truth, pictures, errors = take(cut, gone), {}, {}
    for title, answer in answers.items():
        whole = cut.flatten(2).scatter(1, gone[..., None].expand(-1, -1, cut[0, 0].numel()), answer.flatten(2))
        drawn = from_tokens(whole, shape, encoder.tubelet, encoder.patch)
        pictures[title] = (255 * drawn.clamp(0, 1)).round().to(torch.uint8)
        errors[title] = float((answer - truth).square().mean())
    errors["its neighbour's mean, no model"] = float((neighbour[0] - truth).square().mean())
    grey = errors.pop("hidden")
    return pictures, {title: value / grey for title, value in errors.items()}
