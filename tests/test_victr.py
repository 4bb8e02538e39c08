"""VicTR against the equations written with torch's own layers and loops, against its parts, and against its tables."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from minilib import claims
from minilib.claims.verdicts import same_count
from minilib.cost import multiply_adds
from minilib.errors import BadInput
from minilib.memory import peak_training_memory
from minilib.models.clip import TINY, build
from minilib.papers.victr import counts as victr_counts
from minilib.papers.victr import tokens as victr_tokens
from minilib.papers.victr.classifier import AffinityClassifier, Embeddings, affinity, multi_label, victr_loss
from minilib.papers.victr.method import Attention, DividedAttention, TemporalAttention, VicTR
from minilib.papers.victr.recogniser import (
    Attributes,
    Names,
    Reader,
    VideoRecogniser,
    check_names,
    embed,
    names_of,
)
from minilib.papers.victr.tokens import FEW, Dense, joined, spans
from minilib.papers.victr.variants import HEADS as ABLATIONS
from minilib.papers.victr.variants import DirectWeighting, JointAttention, Start, VisualClassifier
from minilib.papers.victr.vocabularies import attributes, world_attributes

WIDTH, HEADS, FRAMES, GROUPS = 16, 4, 5, (3, 1, 2)
Small = partial(VicTR, WIDTH, HEADS, layers=2)
START = Start(WIDTH, HEADS, FRAMES, classes=7, layers=1)


def tokens(clips=3, frames=FRAMES, classes=7, dtype=torch.float32, width=WIDTH):
    torch.manual_seed(1)
    shapes = ((clips, frames, width), (classes, width), (sum(GROUPS), width))
    return *(torch.randn(shape, dtype=dtype) for shape in shapes), GROUPS


def randomised(head):
    """Every parameter well away from its start, so that none can be left out unnoticed."""
    torch.manual_seed(0)
    for name, parameter in head.named_parameters():
        if parameter.ndim and "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
        elif parameter.ndim:
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.uniform_(parameter, 0.5, 2.0)
    return head


class Direct(nn.Module):
    """The equations of Sec. 5.3 as a reader would write them: torch's attention, a text token for every frame."""

    def __init__(self, head: VicTR):
        super().__init__()
        self.head = head
        self.mha = nn.ModuleList(
            self.copied(part) for layer in head.layers for part in (layer.attention.cross, layer.attention.temporal)
        )

    @staticmethod
    def copied(part: Attention) -> nn.MultiheadAttention:
        out = nn.MultiheadAttention(part.out.in_features, part.heads, batch_first=True).to(part.out.weight.dtype)
        out.in_proj_weight, out.in_proj_bias = part.project.weight, part.project.bias
        out.out_proj.weight, out.out_proj.bias = part.out.weight, part.out.bias
        return out

    @staticmethod
    def weighted(video, text, scale):
        """video (b, t, 1, d), text (b, 1, n, d)."""
        return text * torch.sigmoid(scale * F.cosine_similarity(video, text, dim=-1))[..., None]

    def forward(self, frames, names, others, groups):
        b, t, d = frames.shape
        text = torch.cat([names, others])[None, None]
        video = frames[:, :, None]
        z = torch.cat([video, self.weighted(video, text, self.head.boosting.scale)], 2)
        for i, layer in enumerate(self.head.layers):
            cross, temporal = layer.attention.cross, layer.attention.temporal
            x = cross.norm(z).flatten(0, 1)
            z = z + self.mha[2 * i](x, x, x, need_weights=False)[0].view_as(z)
            x = (temporal.norm(z) + temporal.position[:, None]).transpose(1, 2).flatten(0, 1)
            x = self.mha[2 * i + 1](x, x, x, need_weights=False)[0].view(b, -1, t, d)
            z = z + x.transpose(1, 2)
            video, pooled = z[:, :, :1], z[:, :, 1:].mean(1, keepdim=True)
            z = torch.cat([video, self.weighted(video, pooled, layer.weighting.scale)], 2)
            z = z + layer.mlp.down(F.gelu(layer.mlp.up(z)))
        z, n, end = z.mean(1), len(names), self.head.classifier
        mapped = F.normalize(end.map(z), dim=-1)
        logits = torch.stack([(mapped[:, 0] * mapped[:, 1 + x]).sum(-1) for x in range(n)], 1)
        means = [F.normalize(end.map(part.mean(1)), dim=-1) for part in z[:, 1 + n :].split(list(groups), 1)]
        auxiliary = torch.stack([(mapped[:, 1 : 1 + n] * mean[:, None]).sum(-1) for mean in means], -1)
        bias = 0 if end.bias is None else end.bias
        return end.log_scale.exp() * logits + bias, end.log_scale.exp() * auxiliary + bias


# --- the head --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clips,frames,classes", [(3, FRAMES, 7), (1, 1, 1), (2, 1, 3), (1, 9, 2), (2, 4, 30)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("few", [FEW, 0])
def test_equals_the_equations_in_double_precision_with_gradients(clips, frames, classes, training, few, monkeypatch):
    """Made at once, or in blocks."""
    monkeypatch.setattr(victr_tokens, "FEW", few)
    head = randomised(Small(frames=frames, classifier=partial(AffinityClassifier, bias=-1.0)).double()).train(training)
    inputs = tokens(clips, frames, classes, torch.float64)
    results = []
    for model in (head, Direct(head)):
        for x in inputs[:3]:
            x.requires_grad_(True).grad = None
        head.zero_grad()
        out = model(*inputs)
        logits, auxiliary = (out.logits, out.auxiliary) if model is head else out
        (logits.square().sum() + auxiliary.square().sum()).backward()
        grads = [p.grad for p in head.parameters()] + [x.grad for x in inputs[:3]]
        results.append([logits.detach(), auxiliary.detach(), *(g.clone() for g in grads)])
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        assert torch.allclose(head(*inputs).logits, results[0][0], rtol=1e-12, atol=1e-12)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 12), st.lists(st.integers(1, 4), max_size=3))
def test_any_shape_equals_the_direct_weighting(clips, frames, classes, groups):
    torch.manual_seed(frames)
    head = randomised(Small(frames=frames))
    direct = Small(frames=frames, weighting=DirectWeighting)
    direct.load_state_dict(head.state_dict())
    video, names = torch.randn(clips, frames, WIDTH), torch.randn(classes, WIDTH)
    others = torch.randn(sum(groups), WIDTH) if groups else None
    with torch.no_grad():
        one, two = (model(video, names, others, tuple(groups)) for model in (head, direct))
    assert torch.allclose(one.logits, two.logits, rtol=1e-4, atol=1e-4)
    assert (one.auxiliary is None) == (not groups)
    if groups:
        assert one.auxiliary.shape == (clips, classes, len(groups))
        assert torch.allclose(one.auxiliary, two.auxiliary, rtol=1e-4, atol=1e-4)


def test_at_8_frames_and_488_names_equal_to_1e_5_in_half_of_the_memory(monkeypatch):
    """The suite's target, in blocks, as a head of full width has them; time is measured side by side elsewhere."""
    monkeypatch.setattr(victr_tokens, "FEW", 0)
    torch.manual_seed(0)
    head = VicTR(64, 8, 8, classifier=partial(AffinityClassifier, scale=1.0))
    direct = Direct(head)
    inputs = torch.randn(1, 8, 64), torch.randn(400, 64), torch.randn(88, 64), (40, 43, 5)

    def infer(model):
        with torch.no_grad():
            return model(*inputs)

    def learn(model):
        head.zero_grad(set_to_none=True)
        out = model(*inputs)
        logits, auxiliary = (out.logits, out.auxiliary) if model is head else out
        (logits.sum() + auxiliary.sum()).backward()

    one, two = infer(head), infer(direct)
    assert torch.allclose(one.logits, two[0], rtol=0, atol=1e-5)
    assert torch.allclose(one.auxiliary, two[1], rtol=0, atol=1e-5)
    for step in (infer, learn):
        added = []
        for model in (head, direct):
            head.zero_grad(set_to_none=True)
            added.append(peak_training_memory(partial(step, model)).added)
        assert added[0] < 0.5 * added[1], f"{step.__name__}: {added[0] / added[1]:.2f} of the direct reading"


def test_each_clip_has_its_own_text_and_may_have_its_own_names():
    head = randomised(Small(frames=FRAMES)).eval()
    video, names, others, groups = tokens()
    with torch.no_grad():
        whole = head(video, names, others, groups)
        for row in range(3):
            alone = head(video[row : row + 1], names, others, groups)
            assert torch.allclose(alone.logits[0], whole.logits[row], atol=1e-4)
        own = torch.stack([names, names.flip(0), names])
        mixed = head(video, own, others, groups)
        assert torch.allclose(mixed.logits[0], whole.logits[0], atol=1e-4)
        assert torch.allclose(mixed.logits[1].flip(0), whole.logits[1], atol=1e-4), "names have no order"
        assert torch.allclose(head(video, names[None], others, groups).logits, whole.logits, atol=1e-4)


def test_the_order_of_frames_matters_only_through_the_position():
    head = randomised(Small(frames=FRAMES))
    video, *rest = tokens()
    with torch.no_grad():
        forward, backward = head(video, *rest).logits, head(video.flip(1), *rest).logits
        assert not torch.allclose(forward, backward, atol=1e-2)
        for layer in head.layers:
            layer.attention.temporal.position.zero_()
        forward, backward = head(video, *rest).logits, head(video.flip(1), *rest).logits
        assert torch.allclose(forward, backward, atol=1e-4)


def test_every_parameter_trains_and_modes_agree():
    head = Small(frames=FRAMES, classifier=partial(AffinityClassifier, bias=-10.0))
    inputs = tokens()
    victr_loss(head(*inputs), torch.tensor([0, 3, 6])).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        key_bias = slice(WIDTH, 2 * WIDTH)  # softmax does not feel it
        grad = parameter.grad.clone()
        if name.endswith("project.bias"):
            grad[key_bias] = 1
        assert (grad != 0).any(), name
    with torch.no_grad():
        assert torch.equal(head.eval()(*inputs).logits, head.train()(*inputs).logits)


def test_bfloat16_stays_close():
    head = randomised(Small(frames=FRAMES, classifier=partial(AffinityClassifier, scale=1.0)))
    inputs = tokens()
    with torch.no_grad():
        exact = head(*inputs).logits
        with torch.autocast("cpu", torch.bfloat16):
            assert (head(*inputs).logits.float() - exact).abs().max() < 0.1


class Launched(TorchDispatchMode):
    """How many operators run that make numbers; views are free."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not (func.is_view or func._schema.name in ("aten::_unsafe_view", "aten::detach"))
        return func(*args, **(kwargs or {}))


def test_few_operators_are_launched_for_few_names(monkeypatch):
    """Four layers with attributes: 558 a forward pass and 2,309 a step before few tokens were made at once."""
    head, inputs = VicTR(WIDTH, HEADS, FRAMES), tokens()

    def launched():
        with Launched() as forward, torch.no_grad():
            head(*inputs)
        with Launched() as step:
            victr_loss(head(*inputs), torch.tensor([0, 3, 6])).backward()
        return forward.count, step.count

    forward, step = launched()
    assert forward <= 240 and step <= 900, (forward, step)
    monkeypatch.setattr(victr_tokens, "FEW", 0)
    blocks = launched()
    assert blocks[0] > 2 * forward and blocks[1] > 2 * step, blocks


def test_the_work_grows_with_the_square_of_the_names_only_in_the_attention_among_them():
    """The tokens of a frame attend to one another (Sec. 5.3.2), which no order of the sum makes linear; all else is."""
    head, width, frames = VicTR(64, 8, 4, layers=3), 64, 4
    video = torch.empty(1, frames, width)
    work = [multiply_adds(head, video, torch.empty(n, width)) for n in (100, 200, 300)]
    assert work[2] - 2 * work[1] + work[0] == 2 * 100**2 * 3 * frames * 2 * width


# --- pieces ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.sampled_from([1, FEW, FEW + 1, 2**30]))
def test_spans_cover_everything_once(length, numbers):
    covered = [i for span in spans(length, numbers) for i in range(length)[span]]
    assert covered == list(range(length)) and len(spans(length, numbers)) <= (1 if numbers <= FEW else 4)


def test_joined_is_cat_with_and_without_gradients():
    x = torch.randn(2, 7, 3)
    for dim in (0, 1, 2):
        parts = [part.clone() for part in x.split(2, dim)]
        assert torch.equal(joined(iter(parts), x.shape[dim], dim), x)
        with torch.no_grad():
            assert torch.equal(joined(iter(parts), x.shape[dim], dim), x)


def test_pooled_temporal_attention_is_the_mean_of_the_whole():
    temporal = randomised(TemporalAttention(WIDTH, HEADS, FRAMES)).double()
    z = torch.randn(2, 6, FRAMES, WIDTH, dtype=torch.float64)
    assert torch.allclose(temporal.pooled(z), temporal(z).mean(-2), atol=1e-12)


def test_divided_attention_keeps_classes_apart_in_time_and_frames_apart_across_names():
    divided = randomised(DividedAttention(WIDTH, HEADS, FRAMES)).double()
    z = torch.randn(2, FRAMES, 1 + 4, WIDTH, dtype=torch.float64)
    whole = divided(Dense(z))
    video, text = divided.pooled(Dense(z))
    assert torch.allclose(video, whole[:, :, 0]) and torch.allclose(text, whole[:, :, 1:].mean(1))
    crossed = z + torch.stack([divided.cross(z[:, t]) for t in range(FRAMES)], 1)
    expected = crossed + torch.stack([divided.temporal(crossed[:, :, x]) for x in range(5)], 2)
    assert torch.allclose(whole, expected, atol=1e-12)


def test_joint_attention_is_one_attention_over_all_tokens():
    joint = randomised(JointAttention(WIDTH, HEADS, FRAMES)).double()
    z = torch.randn(2, FRAMES, 1 + 4, WIDTH, dtype=torch.float64)
    mha = Direct.copied(joint)
    x = (joint.norm(z) + joint.position[:, None]).flatten(1, 2)
    expected = z + mha(x, x, x, need_weights=False)[0].view_as(z)
    assert torch.allclose(joint(Dense(z)), expected, atol=1e-12)
    video, text = joint.pooled(Dense(z))
    assert torch.allclose(video, expected[:, :, 0]) and torch.allclose(text, expected[:, :, 1:].mean(1))


def test_affinity_is_the_cosine():
    x, y = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    assert torch.allclose(affinity(x, y), F.cosine_similarity(x[:, :, None], y[:, None], dim=-1), atol=1e-6)


# --- the ablations' parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ABLATIONS)
def test_every_variant_learns_a_tiny_task(variant):
    torch.manual_seed(0)
    head = ABLATIONS[variant](START)
    video, names, others, groups = tokens(clips=7)
    inputs = (video, names) if variant == "no_aux" else (video, names, others, groups)
    optimizer = torch.optim.Adam(head.parameters(), 6e-3)
    losses = []
    for _ in range(25):
        loss = victr_loss(head(*inputs), torch.arange(7))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses[:: len(losses) - 1]
    assert (head(*inputs).auxiliary is None) == (variant == "no_aux")


@pytest.mark.parametrize("variant", ABLATIONS)
def test_every_variant_starts_from_the_same_odds_and_temperature(variant):
    """In a whole head, of nothing in the video and nothing in the text, every classifier says what the bias says."""
    torch.manual_seed(0)
    classifier = ABLATIONS[variant](replace(START, bias=-1.5, scale=3.0)).classifier
    assert classifier.log_scale.exp().item() == pytest.approx(3.0)
    frames, names, video = (torch.zeros(2, *size, WIDTH) for size in ((FRAMES,), (7,), ()))
    nothing = Embeddings(frames, names, video, names, None)
    assert torch.allclose(classifier(nothing).logits, torch.full((2, 7), -1.5))


def test_variants_differ_in_the_part_they_name():
    video, names, *_ = tokens()
    e = Embeddings(video, names[None], torch.randn(3, WIDTH), torch.randn(3, 7, WIDTH), torch.randn(3, 3, WIDTH))
    heads = {name: build(START) for name, build in ABLATIONS.items()}
    full = heads["victr"].classifier
    visual, text = (heads[name].classifier for name in ("clip_visual", "clip_text"))
    for part in (visual, text):
        part.load_state_dict(full.state_dict())
    replaced = Embeddings(e.frames, e.names, e.frames.mean(1), e.text, e.groups)
    assert torch.equal(visual(e).logits, full(replaced).logits)
    replaced = Embeddings(e.frames, e.names, e.video, names.expand(3, -1, -1), e.groups)
    assert torch.allclose(text(e).logits, full(replaced).logits, atol=1e-4)
    assert torch.allclose(text(e).auxiliary, full(replaced).auxiliary, atol=1e-4)
    only = heads["visual_classifier"].classifier
    assert torch.equal(only(e).logits, only.linear(e.video))
    only = heads["text_classifier"].classifier
    assert torch.equal(only(e).logits, only.linear(e.text).squeeze(-1))
    first = heads["no_affinity"].boosting.boost(video, names[None]).at(slice(None))
    assert torch.equal(first[:, :, 1:], names.expand(3, FRAMES, -1, -1)) and torch.equal(first[:, :, 0], video)
    assert isinstance(heads["joint"].layers[0].attention, JointAttention)
    assert [name for name, head in heads.items() if type(head.classifier) is not AffinityClassifier] == [
        "clip_visual",
        "clip_text",
        "text_classifier",
        "visual_classifier",
    ]


# --- losses ----------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_loop_over_groups():
    scores = Small(frames=FRAMES)(*tokens())
    labels = torch.tensor([1, 0, 6])
    expected = F.cross_entropy(scores.logits, labels)
    each = [F.cross_entropy(scores.auxiliary[..., y], labels) for y in range(3)]
    assert torch.allclose(victr_loss(scores, labels, weight=0.3), expected + 0.3 * sum(each) / 3)
    hot = torch.rand(3, 7) < 0.4
    entropy = F.binary_cross_entropy_with_logits
    each = [entropy(scores.auxiliary[..., y], hot.float()) for y in range(3)]
    expected = entropy(scores.logits, hot.float()) + sum(each) / 3
    assert torch.allclose(victr_loss(scores, hot, multi_label), expected)


# --- names and the whole model ---------------------------------------------------------------------------------------


def test_published_and_own_vocabularies():
    assert attributes("charades").sizes == (43, 15, 5, 34)
    assert attributes("kinetics400").sizes == (45, 45, 5), "as printed; the text counts 40 and 43"
    own = world_attributes()
    assert own.sizes == (8, 8, 4, 4) and own.names[-4:] == (
        "one object",
        "two objects",
        "three objects",
        "four objects",
    )
    with pytest.raises(BadInput, match="the thesis has charades, kinetics400"):
        attributes("ssv2")


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return build(TINY, tokenize=letters).eval().requires_grad_(False)


def letters(texts):
    rows = torch.zeros(len(texts), 24, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        if len(text) > 22:
            raise BadInput(f"text {text[:10]!r}... has more than 22 letters")
        row[: len(text) + 1] = torch.tensor([*(1 + ord(letter) % 120 for letter in text), 127])
    return rows


def test_frames_become_scores_and_names_can_change(clip):
    groups, classes = Attributes({"shapes": ("star", "ring"), "colours": ("red",)}), ["go left", "go right", "stop"]
    model = VideoRecogniser(clip, Reader(Small(frames=2), names_of(clip, classes, groups, "{}"))).eval()
    frames = torch.randint(0, 255, (2, 2, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        scores = model.scores(frames)
        assert scores.logits.shape == (2, 3) and scores.auxiliary.shape == (2, 3, 2)
        assert torch.equal(model(frames), scores.logits)
        embedded = clip.frame_embeddings(frames)
        assert torch.equal(model.reader(embedded), scores.logits), "features may be made beforehand"
        assert torch.equal(model(model.normalise(frames)), scores.logits), "clips may be mixed beforehand"
        assert torch.allclose(F.normalize(embedded, dim=-1), clip.image_features(frames), atol=1e-6)
        assert torch.allclose(F.normalize(model.reader.names, dim=-1), clip.text_features(classes))
        other = model.reader.reading(embed(clip, ["stop", "go left"], "{}"))
        assert other(embedded).shape == (2, 2) and torch.allclose(other.names[0], model.reader.names[2])
        assert other.head is model.reader.head and len(model.reader.names) == 3
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    victr_loss(model.train().scores(frames), torch.tensor([0, 1])).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trained
    assert not any(name.startswith("clip") for name in trained)


def test_a_reader_standardises_by_the_training_clips_and_by_nothing_without_them(clip):
    names, frames = Names(torch.randn(3, WIDTH)), 3 + 2 * torch.randn(50, FRAMES, WIDTH)
    reader = Reader(Small(frames=FRAMES), names, frames)
    seen = reader.standard(frames)
    assert torch.allclose(seen.mean((0, 1)), torch.zeros(WIDTH), atol=1e-5)
    assert torch.allclose(seen.std((0, 1)), torch.ones(WIDTH), atol=1e-5)
    assert torch.equal(Reader(Small(frames=FRAMES), names).standard(frames), frames)
    assert names_of(clip, ["a", "b"], prompt="a photo of {}.").classes.shape == (2, 16)
    assert not torch.equal(names_of(clip, ["a"]).classes, names_of(clip, ["a"], prompt="{}").classes)


BAD = {
    "empty": (lambda clip: check_names([], "classes"), "classes: the vocabulary is empty"),
    "blank": (lambda clip: check_names(["a", " "], "classes"), "name 1 is empty"),
    "twice": (lambda clip: check_names(["a", "b", "a"], "classes"), r"'a' is there twice \(names 0 and 2\)"),
    "empty group": (lambda clip: Attributes({"x": ()}), "attributes 'x': the vocabulary is empty"),
    "twice in a group": (lambda clip: Attributes({"x": ("a", "a")}), "attributes 'x': 'a' is there twice"),
    "no groups": (lambda clip: Attributes({}), "groups of attributes: the vocabulary is empty"),
    "long name": (lambda clip: names_of(clip, ["x" * 30], prompt="{}"), "more than 22 letters"),
    "heads": (lambda clip: VicTR(16, 3, 2), "width 16 does not divide into 3 heads"),
    "layers": (lambda clip: VicTR(16, 2, 2, layers=0), "0 layers"),
    "frames": (lambda clip: Small(frames=4)(*tokens()), r"frames \(3, 5, 16\): this head takes \(clips, 4, 16\)"),
    "width": (lambda clip: Small(frames=FRAMES)(tokens()[0], torch.randn(3, 8)), "one embedding of 16 or more"),
    "no names": (lambda clip: Small(frames=FRAMES)(tokens()[0], torch.randn(0, 16)), "one embedding of 16 or more"),
    "clips": (lambda clip: Small(frames=FRAMES)(tokens()[0], torch.randn(2, 4, 16)), "names of 2 clips"),
    "groups": (lambda clip: Small(frames=FRAMES)(*tokens()[:3], (3, 2)), "do not add up to the 6"),
    "group of none": (lambda clip: Small(frames=FRAMES)(*tokens()[:3], (6, 0)), "do not add up to the 6"),
    "groups alone": (lambda clip: Small(frames=FRAMES)(*tokens()[:2], None, (6,)), "do not add up to the 0"),
    "classes": (
        lambda clip: Small(frames=FRAMES, classifier=partial(VisualClassifier, classes=3))(*tokens()),
        "7 names: this visual classifier has 3 classes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name, clip):
    cause, reason = BAD[name]
    with pytest.raises(BadInput, match=reason) as caught:
        cause(clip)
    assert "\n" not in str(caught.value)


# --- the tables ------------------------------------------------------------------------------------------------------


def test_every_count_meets_the_thesis_except_where_it_cannot():
    counted, paper = victr_counts.count_all(), claims.load("victr")
    counts = [claim for claim in paper.claims if claim.kind == "count"]
    assert {claim.id for claim in counts} <= set(counted)
    for claim in counts:
        assert same_count(claim, counted[claim.id]) != bool(claim.conflict), f"{claim.id}: {counted[claim.id]}"
    for metric, all_names in (("b16.16", 148), ("l14.8", 160)):
        assert abs(counted[f"head.kinetics400.{metric}.direct"] - all_names) < 1
    for name in ("kinetics400.b16.16", "kinetics400.l14.8", "charades.b16.32"):
        assert counted[f"head.{name}.factored"] < 0.66 * counted[f"head.{name}.direct"]
