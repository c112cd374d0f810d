"""Computes the expected_* entries of options.json, and what they may be missed by, from its other entries.

    python make_goldens.py          # needs torch, diffusers 0.42 and, in place of scipy, mpmath
"""
import importlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import diffusers
import mpmath
import numpy
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "Reference"))
import precision  # noqa: E402

FILE = Path(__file__).with_name("options.json")
START = torch.tensor([0.5, -1.0, 1.5, -0.25]).reshape(1, 2, 1, 2)


def waves(count):
    return torch.tensor([math.cos(4 * count + i) for i in range(4)], dtype=torch.float32).reshape(1, 2, 1, 2).to(torch.get_default_dtype())


def beta_ppf(probability, a, b):
    """The quantile of the beta distribution, to float64's last digits; it stands in for scipy.stats.beta.ppf."""
    low, high = mpmath.mpf(0), mpmath.mpf(1)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if mpmath.betainc(a, b, 0, middle, regularized=True) < probability else (low, middle)
    return float(low)


def run(entry):
    """Timesteps, sigmas, the last sample, and the clean samples that diffusers predicts in each step, where it tells them."""
    cls, drawn = getattr(diffusers, entry["class"]), []

    def randn_tensor(*_, **__):
        drawn.append(waves(len(drawn)))
        return drawn[-1]

    module = importlib.import_module(cls.__module__)
    module.randn_tensor = randn_tensor
    module.is_scipy_available = lambda: True
    module.scipy = SimpleNamespace(stats=SimpleNamespace(beta=SimpleNamespace(ppf=beta_ppf)))
    scheduler = cls(**entry["config"])
    own = {key: entry[key] for key in ("timesteps", "sigmas", "mu") if key in entry}
    if "sigmas" in own:
        own["sigmas"] = numpy.array(own["sigmas"])
    takes_steps = "steps" in entry and "timesteps" not in own and not ("sigmas" in own and cls is diffusers.EulerDiscreteScheduler)
    scheduler.set_timesteps(*([entry["steps"]] if takes_steps else []), **own)

    sample = START.to(torch.get_default_dtype()) * torch.as_tensor(getattr(scheduler, "init_noise_sigma", 1.0), dtype=torch.get_default_dtype())
    originals = []
    if getattr(scheduler.config, "algorithm_type", "").endswith("++") or getattr(scheduler.config, "predict_x0", False):
        convert = scheduler.convert_model_output
        scheduler.convert_model_output = lambda *given, **named: originals.append(convert(*given, **named)) or originals[-1]
    begin = entry.get("begin", 0)
    if begin and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    for t in scheduler.timesteps[begin:]:
        x = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
        arguments = {"eta": entry["eta"]} if cls in (diffusers.DDIMScheduler, diffusers.TCDScheduler) else {}
        output = scheduler.step(torch.tanh(0.7 * x - 0.4 * t.to(x.dtype) / 1000), t, sample, **arguments)
        sample = output.prev_sample
        if getattr(output, "pred_original_sample", None) is not None:
            originals.append(output.pred_original_sample)

    found = {"timesteps": scheduler.timesteps, "sample": sample.flatten()}
    if originals:
        found["originals"] = torch.cat(originals).flatten()
    return {**found, "sigmas": scheduler.sigmas} if hasattr(scheduler, "sigmas") else found


def shortest(values):
    return [float(str(numpy.float32(v))) for v in values]


def allowed(golden, *others):
    """As for every golden; but of timesteps that are rounded, the last digit may fall either way and no further."""
    flips = max((golden - other).abs().max().item() for other in others)
    rounded = (golden == golden.round()).all().item() and flips == round(flips)
    return flips if rounded and flips > 0 else precision.tolerance(golden, *others)


def relative(golden, *others):
    """Sigmas span seven powers of ten: what is allowed is a part of each."""
    part = max(((golden - other).abs() / golden.abs().clamp(min=1e-12)).max().item() for other in others)
    return precision.round_up(precision.SAFETY * max(part, precision.ULP))


def fill(entry, other):
    plain = run(entry)
    with precision.float64():
        wide = run(entry)
    for key in ("timesteps", "sigmas", "sample", "originals"):
        if key in plain:
            golden = plain[key].float()
            entry[f"expected_{key}"] = shortest(golden.tolist())
            entry[f"{key}_tolerance"] = (relative if key == "sigmas" else allowed)(golden, wide[key], other[key])
    return entry


entries = json.loads(FILE.read_text())
if precision.is_child():
    precision.answer([run(entry) for entry in entries])
else:
    others = precision.with_other_kernels()
    entries = [fill(entry, other) for entry, other in zip(entries, others)]
    FILE.write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n]\n")
