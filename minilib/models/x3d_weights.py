"""Weights of an X3D from files in foreign layouts: the released Coarse-Fine code's, and the public Kinetics X3D's.

    released   {"model_state_dict": {"conv1_s.weight", "bn1.bn.running_mean", "layer1.0.conv1.weight", ...}}
    public     {"model_state": {"blocks.0.conv.conv_t.weight", "blocks.1.res_blocks.0.branch2.conv_a.weight", ...}}

Every tensor must find its place. A file may also hold the plain dictionary. Renaming is all that is done, but for the
norms of the released code. In training they normalise each part ("split") of a batch by itself, and a file saved then
has old statistics under `bn`: before it evaluates, the code puts those of the splits together, and so does this.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state, renamed
from minilib.models.x3d import X3D

State = dict[str, Tensor]
RELEASED = (
    (r"\.bn\.(running_|num_batches)", r".\1"),
    (r"^(conv1_[st]|bn1)\.", r"stem.\1."),
    (r"^layer(\d)\.", lambda found: f"stages.{int(found[1]) - 1}."),
    (r"^(stages\.\d+\.\d+)\.(fc[12])\.", r"\1.gate.\2."),
    (r"^(conv5|bn5|fc1|fc2)\.", r"head.\1."),
)
PUBLIC = (
    # in the public stem "conv_t" is the convolution over space and "conv_xy" that over time
    (r"^blocks\.0\.conv\.conv_t\.", "stem.conv1_s."),
    (r"^blocks\.0\.conv\.conv_xy\.", "stem.conv1_t."),
    (r"^blocks\.0\.norm\.", "stem.bn1."),
    (r"^blocks\.([1-4])\.res_blocks\.(\d+)\.", lambda found: f"stages.{int(found[1]) - 1}.{found[2]}."),
    (r"\.branch1_conv\.", ".downsample.0."),
    (r"\.branch1_norm\.", ".downsample.1."),
    (r"\.branch2\.conv_([abc])\.", lambda found: f".conv{'abc'.index(found[1]) + 1}."),
    (r"\.branch2\.norm_b\.1\.block\.([02])\.", lambda found: f".gate.fc{int(found[1]) // 2 + 1}."),
    (r"\.branch2\.norm_b\.0\.", ".bn2."),
    (r"\.branch2\.norm_([ac])\.", lambda found: f".bn{'abc'.index(found[1]) + 1}."),
    (r"^blocks\.5\.pool\.pre_conv\.", "head.conv5."),
    (r"^blocks\.5\.pool\.pre_norm\.", "head.bn5."),
    (r"^blocks\.5\.pool\.post_conv\.", "head.fc1."),
    (r"^blocks\.5\.proj\.", "head.fc2."),
)


def of_all_splits(means: Tensor, variances: Tensor, splits: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (c,) of a mixture of equally large splits from theirs, (splits * c,) split by split."""
    means, variances = means.view(splits, -1), variances.view(splits, -1)
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)


def from_released(state: State, source: object) -> State:
    """The released layout in our names, the norms' statistics being those of all splits; a norm without splits keeps
    its own. Raises BadInput, naming `source`, where splits are not whole."""
    out = {key: tensor for key, tensor in state.items() if ".split_bn." not in key}
    for key in state:
        norm, found, _ = key.partition(".split_bn.running_mean")
        if not found:
            continue
        names = {name: f"{norm}.split_bn.running_{name}" for name in ("mean", "var")}
        sizes, channels = [len(state.get(name, ())) for name in names.values()], len(state.get(f"{norm}.weight", ()))
        if not channels or sizes[0] != sizes[1] or sizes[0] % channels or not sizes[0]:
            raise BadInput(
                f"weights {source}: {norm}.split_bn has {sizes} statistics of {channels} channels: splits are not whole"
            )
        mean, variance = of_all_splits(*(state[name] for name in names.values()), sizes[0] // channels)
        out |= {f"{norm}.bn.running_mean": mean, f"{norm}.bn.running_var": variance}
    return renamed(out, RELEASED)


def from_public(state: State) -> State:
    """The public layout in our names.

    It has no norm in the first stage's shortcut, where the width stays: here one that changes nothing in evaluation.
    """
    out = renamed(state, PUBLIC)
    shortcut = out.get("stages.0.0.downsample.0.weight")
    if shortcut is not None and "stages.0.0.downsample.1.weight" not in out:
        width = len(shortcut)
        out |= {f"stages.0.0.downsample.1.{name}": shortcut.new_ones(width) for name in ("weight", "running_var")}
        out |= {f"stages.0.0.downsample.1.{name}": shortcut.new_zeros(width) for name in ("bias", "running_mean")}
        out["stages.0.0.downsample.1.running_var"] -= nn.BatchNorm3d(1).eps
    return out


def load_x3d(model: X3D, path: Path | str) -> X3D:
    """Loads a file of either layout, or of our own, strictly; raises BadInput naming what does not fit."""
    state = read_state(path)
    if "conv1_s.weight" in state:
        state = from_released(state, path)
    elif any(key.startswith("blocks.") for key in state):
        state = from_public(state)
    load_strictly(model, state, path)
    return model


def load_body(model: X3D, path: Path | str) -> X3D:
    """The same for an X3D of any number of classes; the last layer stays as it is. Raises BadInput for other files."""
    heads = [x for name, x in read_state(path).items() if name.endswith(("fc2.weight", "proj.weight")) and x.ndim == 2]
    if not heads:
        raise BadInput(f"weights {path}: no last layer is found, so this is no X3D")
    given = load_x3d(X3D(model.size, len(heads[-1])), path).set_classes(model.classes)
    given.head.fc2.load_state_dict(model.head.fc2.state_dict())
    model.load_state_dict(given.state_dict())
    return model
