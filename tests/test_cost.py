import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib import cost
from minilib.errors import BadInput
from minilib.models import clip
from minilib.models.classifier import VideoClassifier


class FrameEmbedding(VideoClassifier):
    """The image model on one frame, the CLIP projection left out."""

    def __init__(self, visual):
        super().__init__(visual, 1)
        self.head = nn.Identity()


@pytest.mark.parametrize(
    ("architecture", "with_norms", "without"), [(clip.VIT_B16, 17.5820, 17.5631), (clip.VIT_L14, 81.0765, 81.0120)]
)
@pytest.mark.parametrize("training", [True, False])
def test_one_frame_costs_what_the_papers_count(architecture, with_norms, without, training):
    with torch.device("meta"):
        model = FrameEmbedding(clip.build(architecture).visual).train(training)
        frame = torch.empty(1, 1, 3, 224, 224)
    assert round(cost.multiply_adds(model, frame) / 1e9, 4) == with_norms
    assert round(cost.multiply_adds(model, frame, layer_norm_cost=0) / 1e9, 4) == without


def test_layers_by_hand():
    count = cost.multiply_adds
    assert count(nn.Linear(7, 5), torch.ones(2, 3, 7)) == 2 * 3 * 7 * 5
    assert count(nn.Conv3d(4, 6, (3, 1, 1), padding=(1, 0, 0), groups=2), torch.ones(1, 4, 5, 2, 2)) == 20 * 3 * 2 * 6
    assert count(nn.Sequential(nn.ReLU(inplace=True), nn.LayerNorm(7)), torch.ones(2, 3, 7)) == 5 * 42
    assert count(nn.LayerNorm(7), torch.ones(2, 3, 7), layer_norm_cost=0) == 0
    assert count(lambda x: F.layer_norm(x, (7,)), torch.ones(2, 7)) == 5 * 14
    assert count(torch.mv, torch.ones(3, 4), torch.ones(4)) == 12
    with torch.inference_mode():
        assert count(nn.Linear(7, 5), torch.ones(2, 3, 7)) == 2 * 3 * 7 * 5


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("training", [True, False])
def test_every_form_of_attention_counts_both_products(device, training):
    b, h, n, c = 2, 3, 5, 4
    d, products = h * c, 2 * b * h * n * n * c
    q = torch.ones(b, h, n, c, device=device)
    assert cost.multiply_adds(F.scaled_dot_product_attention, q, q, q) == products
    assert cost.multiply_adds(lambda q: (q @ q.mT).softmax(-1) @ q, q) == products
    module = nn.MultiheadAttention(d, h, batch_first=True, device=device).train(training)
    x = torch.ones(b, n, d, device=device)
    assert cost.multiply_adds(module, x, x, x) == products + 4 * b * n * d * d
    layer = nn.TransformerEncoderLayer(d, h, 2 * d, batch_first=True, device=device).train(training)
    assert cost.multiply_adds(lambda x: layer(x), x) == products + 8 * b * n * d * d + 2 * 5 * b * n * d


def test_backward_passes_are_counted_where_they_run():
    layer, x = nn.Linear(4, 3), torch.ones(5, 4)
    with cost.counting() as count:
        layer(x).sum().backward()
    assert count() == 2 * 5 * 4 * 3  # forward, and the weight's gradient; the input needs none


def test_a_counted_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    cost.multiply_adds(module, torch.ones(2, 4))
    assert all(torch.equal(before[k], v) and v.device.type == "cpu" for k, v in module.state_dict().items())


def test_parameters():
    model = nn.ModuleDict({"head": nn.Linear(4, 2), "header": nn.Linear(4, 3), "frozen": nn.Linear(5, 5)})
    model["shared"] = model["header"]
    model["frozen"].requires_grad_(False)
    assert cost.parameters(model) == 10 + 15 + 30
    assert cost.tunable_parameters(model) == 25
    assert cost.tunable_parameters(model, ["head"]) == 15
    with pytest.raises(BadInput, match="fc"):
        cost.tunable_parameters(model, ["fc"])


def test_a_printed_cost_names_its_convention():
    text = str(cost.cost(nn.Linear(4, 2), torch.ones(1, 4), views=3))
    assert "3 views" in text and "LayerNorm" in text and "10" in f"{cost.parameters(nn.Linear(4, 2))}"
    assert cost.cost(nn.Linear(4, 2), torch.ones(1, 4), views=3).multiply_adds == 24


def test_saved_activations_are_seen_until_they_are_freed():
    size = 4 * 1000

    def chain(x, depth):
        for _ in range(depth):
            x = x.sin()  # keeps its input for the backward pass
        return x.sum()

    leaf = torch.ones(1000, requires_grad=True)
    # forward: five outputs and the sum; the four that are kept are inputs of the next, the fifth is freed with the sum
    assert cost.peak_training_memory(lambda: chain(leaf, 5)).added == 5 * size + 4
    with torch.no_grad():
        memory = cost.peak_training_memory(lambda: chain(leaf, 5))
    assert memory.added == 2 * size and memory.held == size and memory.peak == 3 * size


def test_memory_of_a_training_step_grows_with_what_is_kept():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.GELU()) for _ in range(8)))
    x = torch.randn(512, 64)

    def step():
        model(x).sum().backward()
        model.zero_grad(set_to_none=True)

    full, again = cost.peak_training_memory(step), cost.peak_training_memory(step)
    assert full == again
    activation = x.nbytes
    assert full.held == activation + sum(p.nbytes for p in model.parameters())
    assert 16 * activation <= full.added <= 21 * activation  # two a layer are kept, and what backward holds meanwhile
    model[:4].requires_grad_(False)
    half = cost.peak_training_memory(step).added
    assert 8 * activation <= half <= 13 * activation
    assert "live tensor storages" in str(full)
    with pytest.raises(BadInput, match="meta"):
        cost.peak_training_memory(step, "meta")


def test_views_and_in_place_changes_add_nothing():
    x = torch.zeros(1000)
    assert cost.peak_training_memory(lambda: x.view(10, 100).t().add_(1)[3:]).added == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_memory_on_a_gpu_is_the_allocator_s():
    x = torch.ones(1 << 20, device="cuda")
    memory = cost.peak_training_memory(lambda: x + 1, "cuda")
    assert memory.added == x.nbytes and memory.held >= x.nbytes


def test_the_faster_of_two_is_found():
    small, large, order = torch.ones(64, 64), torch.ones(400, 400), []
    ratio = cost.compare_speed(
        lambda: (order.append("a"), small @ small),
        lambda: (order.append("b"), large @ large),
        rounds=10,
        warmup=1,
        calls=3,
    )
    assert ratio.low <= ratio.median <= ratio.high < 1 and ratio.a < ratio.b
    assert order.count("a") == order.count("b") == 1 + 10 * 3
    firsts = [order[i] for i in range(2, len(order), 6)]
    assert set(firsts) == {"a", "b"}  # both go first at times
    assert "quartiles" in str(ratio) and "10 interleaved rounds" in str(ratio)
    with pytest.raises(BadInput):
        cost.compare_speed(int, int, rounds=0)


def test_latency_and_throughput():
    taken = cost.latency(lambda: None, rounds=1, warmup=0)
    assert taken.low == taken.median == taken.high and "ms" in str(taken)
    rows = cost.throughput(nn.Linear(4, 4), lambda size: torch.ones(size, 4), [1, 8], rounds=3)
    assert [row.batch_size for row in rows] == [1, 8] and all(row.per_second > 0 for row in rows)
    assert "batch size 8" in str(rows[1])


def test_throughput_stops_where_memory_ends():
    def model(batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("full")

    assert [row.batch_size for row in cost.throughput(model, torch.ones, [1, 2, 4, 8])] == [1, 2]
