"""Tolerances of goldens: what the scripts that make them have in common.

A golden is what PyTorch computes in float32. How far a correct implementation may lie from it is measured, not guessed: by the same computation in
float64, which shows the rounding error, and in float32 with other kernels (oneDNN off, unfused attention, PyTorch's code without vector
instructions), which shows how far two correct implementations lie apart:

    tolerance = 10 × max(error against float64, error against other kernels, 2^-23 × largest value), rounded up
"""
import contextlib
import math
import os
import pickle
import subprocess
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

SAFETY = 10
ULP = 2.0 ** -23
CHILD = "GOLDENS_OTHER_KERNELS"


def is_child():
    """Whether this process is the one that computes with other kernels."""
    return CHILD in os.environ


def with_other_kernels():
    """Runs this script again with other kernels; returns what it gives to `answer`."""
    environment = {**os.environ, CHILD: "1", "ATEN_CPU_CAPABILITY": "default"}
    finished = subprocess.run([sys.executable, *sys.argv], env=environment, stdout=subprocess.PIPE, check=True)
    return pickle.loads(finished.stdout)


def answer(value):
    """Hands a value to the process that called `with_other_kernels`."""
    sys.stdout.buffer.write(pickle.dumps(value))
    sys.stdout.flush()


@contextlib.contextmanager
def other_kernels():
    """Computes in other orders, within this process."""
    with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        yield


class _Float64(TorchFunctionMode):
    """Makes every request for float32 one for float64: the libraries compute embeddings of timesteps, norms and scheduler steps in float32 on purpose."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        def wide(value):
            return torch.float64 if value is torch.float32 else value

        if function is torch.Tensor.float:
            function = torch.Tensor.double
        return function(*[wide(a) for a in args], **{k: wide(v) for k, v in (kwargs or {}).items()})


@contextlib.contextmanager
def float64(*modules):
    """Computes in float64."""
    from_numpy, randn = torch.from_numpy, torch.randn
    for module in modules:
        module.double()
    torch.set_default_dtype(torch.float64)
    torch.from_numpy = lambda array: wider(from_numpy(array))
    try:
        with _Float64():
            yield
    finally:
        torch.from_numpy = from_numpy
        torch.set_default_dtype(torch.float32)
        for module in modules:
            module.float()


def wider(value):
    """The same tensors, in float64."""
    if torch.is_tensor(value):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: wider(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(wider(v) for v in value)
    return value


def tolerance(golden, *others):
    """The largest difference allowed from a golden that the other computations miss by so much; 0 for integers."""
    if not golden.is_floating_point() or golden.numel() == 0:
        return 0
    errors = [(golden.double() - other.double()).abs().max().item() for other in others]
    largest = golden.abs().max().item()
    assert max(errors) <= 0.02 * largest, f"off by {max(errors)} of {largest}: not the same computation"
    return round_up(SAFETY * max(*errors, ULP * largest))


def round_up(value):
    """To two digits, upwards."""
    if value == 0:
        return 0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.3g}")
