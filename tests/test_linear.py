"""Linear layers: every kernel against the product it stands for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentrace import linear
from tokentrace.linear import Int8, Packed, Portable, quantise

KERNELS = [
    (Portable, "fp32"),
    (Portable, "bf16"),
    (Portable, "int8"),
    (Packed, "fp32"),
    (Packed, "bf16"),
    (Int8, "int8"),
]


@pytest.fixture(autouse=True)
def fresh_feature_test():
    linear.works.cache_clear()
    yield
    linear.works.cache_clear()


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20, deadline=None)
@given(
    kernel=st.sampled_from(KERNELS),
    n_in=st.integers(1, 70),
    n_out=st.integers(1, 70),
    rows=st.tuples(st.integers(1, 3), st.integers(1, 20)),
    with_bias=st.booleans(),
)
def test_kernels_compute_the_product(kernel, n_in, n_out, rows, with_bias):
    """Catches: a transposed weight, a bias left out, rows mixed up, an odd size that is padded wrongly."""
    make, precision = kernel
    if make is Int8:
        n_in *= Int8.STRIDE
    if make is not Portable and not linear.works(make, precision):
        pytest.skip(f"{make.__name__} does not run on this machine")
    weight, bias, x = random(n_in, n_out), random(n_out, seed=1) if with_bias else None, random(*rows, n_in, seed=2)
    expected = x @ weight + (0 if bias is None else bias)
    found = make(weight, bias, precision)(x.to(linear.activation_dtype(precision)))
    assert found.dtype == linear.activation_dtype(precision)
    assert found.shape == (*rows, n_out)
    # Rounding grows with the root of the terms; an int8 weight is off by up to 1/254 of the row's largest.
    tolerance = {"fp32": 1e-5, "bf16": 2e-2, "int8": 3e-2}[precision] * max(1, n_in**0.5) * 2
    assert torch.allclose(found.float(), expected, atol=tolerance, rtol=2e-2)


def test_input_need_not_be_contiguous():
    """Catches: a kernel that reads a slice as if its rows lay together."""
    weight, x = random(16, 8), random(2, 5, 16, seed=1)
    for make, precision in KERNELS:
        if make is Portable or linear.works(make, precision):
            layer, given_x = make(weight, None, precision), x.to(linear.activation_dtype(precision))
            assert layer(given_x[:, -1:]).equal(layer(given_x[:, -1:].contiguous()))


def test_quantised_weights_are_close():
    """Catches: one scale for the whole matrix (small rows would vanish), a scale along the wrong axis."""
    weight = random(50, 30) * torch.logspace(-4, 2, 30)
    whole, scale = quantise(weight)
    assert whole.shape == (30, 50)
    assert whole.abs().amax(1).eq(127).all()
    assert ((whole * scale[:, None]).t() - weight).abs().le(scale / 2 * 1.001).all()


def test_the_portable_kernel_can_be_forced(monkeypatch):
    """Catches: an environment switch that does nothing, so that the fallback is never tested."""
    monkeypatch.setenv("TOKENTRACE_KERNEL", "portable")
    assert all(isinstance(linear.linear(random(8, 8), None, precision), Portable) for precision in linear.PRECISIONS)


@pytest.mark.parametrize("failure", [AttributeError("gone"), RuntimeError("not on this CPU"), NotImplementedError()])
def test_a_missing_kernel_falls_back(monkeypatch, failure):
    """Catches: a private operation that another release lacks, and a crash instead of `addmm`."""

    def fails(*_):
        raise failure

    monkeypatch.setattr(Packed, "__call__", fails)
    assert isinstance(linear.linear(random(8, 8), None, "fp32"), Portable)


def test_a_wrong_kernel_falls_back(monkeypatch):
    """Catches: an equality check that passes whatever the kernel gives."""
    right = Packed.__call__
    for wrong in (lambda self, x: right(self, x) * 1.001, lambda self, x: right(self, x) * torch.nan):
        monkeypatch.setattr(Packed, "__call__", wrong)
        linear.works.cache_clear()
        assert isinstance(linear.linear(random(8, 8), None, "fp32"), Portable)


def test_int8_of_odd_width_goes_without_the_kernel():
    """Catches: a crash of the whole process; the kernel would read past the end of the weights."""
    layer = linear.linear(random(24, 8), random(8, seed=1), "int8")
    assert isinstance(layer, Portable)
    x = random(2, 5, 24, seed=2)
    assert torch.allclose(layer(x.bfloat16()).float(), x @ random(24, 8) + random(8, seed=1), atol=0.2, rtol=0.02)


def test_the_fast_kernels_run_here():
    """Catches: a fallback that is always taken; on x86 with this torch all three kernels exist."""
    if not torch.backends.mkldnn.is_available() or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("this machine has no AVX-512, or this torch no oneDNN")
    for precision in linear.PRECISIONS:
        assert not isinstance(linear.linear(random(16, 8), None, precision), Portable), precision
