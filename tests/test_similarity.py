"""Linear CKA against the formulas written out, and against what it must not see."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.errors import BadInput
from minilib.metrics.similarity import LinearCKA, cka_matrix


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(count=40, seed=0):
    x = normal(count, 5, seed=seed)
    return x, torch.cat([x[:, :3] @ normal(3, 4, seed=seed + 1), normal(count, 3, seed=seed + 2)], 1)


def cka(x, y):
    return LinearCKA().update(x, y).compute().item()


def hsic_by_tuples(x, y):
    """HSIC_1's definition: the mean over all quadruples of different inputs (Song et al. 2012)."""
    k, l = x @ x.T, y @ y.T
    total = sum(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in itertools.permutations(range(len(x)), 4))
    return total / len(list(itertools.permutations(range(len(x)), 4)))


def test_one_batch_equals_the_mean_over_quadruples():
    x, y = related(7)
    expected = hsic_by_tuples(x, y) / (hsic_by_tuples(x, x) * hsic_by_tuples(y, y)).sqrt()
    assert cka(x, y) == pytest.approx(expected.item(), abs=1e-10)


def test_batches_average_each_hsic_before_the_ratio():
    parts = [related(6, seed) for seed in range(3)]
    accumulated = LinearCKA()
    for part in parts:
        accumulated.update(*part)
    xy, xx, yy = (sum(hsic_by_tuples(pair[i], pair[j]) for pair in parts) for i, j in ((0, 1), (0, 0), (1, 1)))
    assert accumulated.compute().item() == pytest.approx((xy / (xx * yy).sqrt()).item(), abs=1e-10)


def test_many_inputs_come_to_kornbliths_formula():
    """The biased estimate ||Y'X||^2 / (||X'X|| ||Y'Y||) of centred features has the same limit."""
    x, y = related(4000)
    x, y = x - x.mean(0), y - y.mean(0)
    norm = lambda a, b: (a.T @ b).norm()  # noqa: E731
    direct = norm(y, x) ** 2 / (norm(x, x) * norm(y, y))
    assert 0.2 < direct < 0.9
    assert cka(x, y) == pytest.approx(direct.item(), abs=2e-3)
    batches = zip(x.split(100), y.split(100), strict=True)
    assert cka_matrix(([a], [b]) for a, b in batches).item() == pytest.approx(direct.item(), abs=2e-2)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_rotation_scale_and_shift_change_nothing(seed, scale, shift):
    x, y = related(12, seed)
    rotation, _ = torch.linalg.qr(normal(5, 5, seed=seed + 3))
    assert cka(scale * x @ rotation + shift, y) == pytest.approx(cka(x, y), abs=1e-6)


def test_a_stretched_axis_does_change_it():
    x, y = related()
    assert abs(cka(x * torch.tensor([9.0, 1, 1, 1, 1]), y) - cka(x, y)) > 0.05


@settings(max_examples=25)
@given(count=st.integers(4, 30), seed=st.integers(0, 1000))
def test_a_layer_with_itself_is_one_and_order_of_sides_is_nothing(count, seed):
    x, y = related(count, seed)
    assert cka(x, x) == pytest.approx(1, abs=1e-9)
    assert -1 <= cka(x, y) <= 1 and cka(x, y) == pytest.approx(cka(y, x), abs=1e-12)


def test_unrelated_features_come_to_zero_where_the_biased_formula_does_not():
    values = [cka(normal(30, 60, seed=2 * s), normal(30, 60, seed=2 * s + 1)) for s in range(40)]
    mean = sum(values) / len(values)
    assert abs(mean) < 0.02
    x, y = (v - v.mean(0) for v in (normal(30, 60, seed=0), normal(30, 60, seed=1)))
    assert (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()) > 0.5


def test_the_matrix_is_every_pair_of_layers_of_any_width_and_axes():
    x, y = related()
    left, right = [x, y, x.square()], [y, x.view(40, 5, 1)]
    found = cka_matrix([(left, right)])
    assert found.shape == (3, 2) and found.dtype == torch.float64
    for (i, a), (j, b) in itertools.product(enumerate(left), enumerate(right)):
        assert found[i, j].item() == pytest.approx(cka(a, b.flatten(1)), abs=1e-12)


def test_half_precision_and_gradients_are_left_behind():
    x, y = related()
    found = LinearCKA().update(x.half().requires_grad_(), y.half()).compute()
    assert not found.requires_grad
    assert found.item() == pytest.approx(cka(x, y), abs=1e-2)


def test_features_that_do_not_vary_have_no_cka():
    x, _ = related()
    assert LinearCKA().update([torch.ones(40, 3), x], [x]).compute().isnan().tolist() == [[True], [False]]


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="batch of 3 inputs.*needs 4"):
        LinearCKA().update(normal(3, 2), normal(3, 2))
    with pytest.raises(BadInput, match=r"batches of \[5, 6\] inputs"):
        LinearCKA().update(normal(5, 2), normal(6, 2))
    with pytest.raises(BadInput, match="CKA of nothing"):
        LinearCKA().compute()
    with pytest.raises(BadInput, match="CKA of nothing"):
        cka_matrix([])
    with pytest.raises(BadInput, match="2 and 1 layers"):
        LinearCKA().update(normal(5, 2), normal(5, 2)).update([normal(5, 2)] * 2, normal(5, 2))
