"""Computes the expected_* entries of options.json with diffusers 0.42 (and scipy, for beta sigmas) from its other entries."""
import importlib
import json
import math
from pathlib import Path

import diffusers
import numpy
import torch

FILE = Path(__file__).with_name("options.json")


def waves(count):
    return torch.tensor([math.cos(4 * count + i) for i in range(4)], dtype=torch.float32).reshape(1, 2, 1, 2)


def shortest(values):
    return [float(str(numpy.float32(v))) for v in values]


def fill(entry):
    cls = getattr(diffusers, entry["class"])
    scheduler, drawn = cls(**entry["config"]), []

    def randn_tensor(*_, **__):
        drawn.append(waves(len(drawn)))
        return drawn[-1]

    importlib.import_module(cls.__module__).randn_tensor = randn_tensor
    own = {key: entry[key] for key in ("timesteps", "sigmas", "mu") if key in entry}
    if "sigmas" in own:
        own["sigmas"] = numpy.array(own["sigmas"])
    takes_steps = "timesteps" not in own and not ("sigmas" in own and cls is diffusers.EulerDiscreteScheduler)
    scheduler.set_timesteps(*([entry["steps"]] if takes_steps else []), **own)

    sample = torch.tensor([0.5, -1.0, 1.5, -0.25]).reshape(1, 2, 1, 2)
    sample = sample * torch.as_tensor(getattr(scheduler, "init_noise_sigma", 1.0), dtype=torch.float32)
    for t in scheduler.timesteps:
        x = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
        arguments = {"eta": entry["eta"]} if cls is diffusers.DDIMScheduler else {}
        sample = scheduler.step(torch.tanh(0.7 * x - 0.4 * t.to(x.dtype) / 1000), t, sample, **arguments).prev_sample

    entry["expected_timesteps"] = shortest(scheduler.timesteps.tolist())
    if hasattr(scheduler, "sigmas"):
        entry["expected_sigmas"] = shortest(scheduler.sigmas.tolist())
    entry["expected_sample"] = shortest(sample.flatten().tolist())
    return entry


if __name__ == "__main__":
    entries = [fill(entry) for entry in json.loads(FILE.read_text())]
    FILE.write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n]\n")
