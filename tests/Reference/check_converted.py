"""Holds folders that ModelConversion wrote against the models that they were made of, by reading both with diffusers:

    python check_converted.py CONVERTED models/tiny-sdxl        # needs torch, diffusers, transformers, sentencepiece

Prints the largest difference of a weight by component (0 unless the folder has another type), and whether a picture is the same.
"""
import json
import sys
from pathlib import Path

import torch
import diffusers

diffusers.utils.logging.set_verbosity_error()


def load(folder):
    name = json.loads((Path(folder) / "model_index.json").read_text())["_class_name"]
    pipe = getattr(diffusers, name).from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main(converted, original):
    found, expected = load(converted), load(original)
    assert type(found) is type(expected) and found.components.keys() == expected.components.keys()
    for name, module in expected.components.items():
        if isinstance(module, torch.nn.Module):
            other, own = found.components[name].state_dict(), module.state_dict()
            assert other.keys() == own.keys(), (name, other.keys() ^ own.keys())
            print(f"{name}: {max((other[key].float() - value.float()).abs().max().item() for key, value in own.items())}")
    assert found.scheduler.config == expected.scheduler.config
    one, two = (pipe("a red fox", num_inference_steps=2, height=64, width=64, output_type="latent", generator=torch.manual_seed(1)).images
                for pipe in (found, expected))
    print("picture:", (one - two).abs().max().item())


main(*sys.argv[1:])
