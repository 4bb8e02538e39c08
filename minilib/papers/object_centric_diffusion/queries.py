"""What the chapter tried and left: merging queries as well as keys and values (thesis Sec. 6.6.1).

"With extreme reduction rates, merging queries can easily break the reconstructions."

Axes: b videos, t frames, n tokens of a frame, m tokens after merging, c heads, d channels.
"""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.frame_attention import FrameAttention, split


class MergedQueries(FrameAttention):
    """Self-attention among merged tokens, as tomesd has it: queries, keys and values are made of what is left of all
    frames, and every token takes what its destination found. Give it to a pipeline as `attention`.

    For frames that all look at all, with merged keys, and without stored maps; anything else is BadInput when called.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        if encoder_hidden_states is not None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        self.check(attn, hidden_states, attention_mask)
        plan_of = getattr(self.reduce, "planned", None)
        if plan_of is None or self.maps is not None or not self.shared or len(self.span[0]) != self.frames:
            raise BadInput(f"{self.layer}: queries are merged among all frames, with keys, and without stored maps")
        self.calls += 1
        tokens = hidden_states.unflatten(0, (-1, self.frames)).flatten(1, 2)  # (b, t * n, d)
        plan = plan_of(self.layer, tokens, (self.frames, *self.rows_and_columns(hidden_states.shape[1])))
        merged = plan.merge(tokens)[:, None]
        queries, keys, values = (split(made(merged), attn.heads)[:, 0] for made in (attn.to_q, attn.to_k, attn.to_v))
        found = F.scaled_dot_product_attention(queries, keys, values, scale=attn.scale)
        out = plan.unmerge(attn.to_out[0](found.transpose(1, 2).flatten(2)))
        out = attn.to_out[1](out.unflatten(1, (self.frames, -1)).flatten(0, 1)) / attn.rescale_output_factor
        return out + hidden_states if attn.residual_connection else out
