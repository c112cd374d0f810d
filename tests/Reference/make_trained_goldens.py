"""Makes the goldens of the trained models in ../../models: pictures, and the latents after every step, as diffusers computes them.

    OMP_NUM_THREADS=1 python make_trained_goldens.py [MODEL …]          # needs torch, diffusers 0.42, transformers 5, sentencepiece

Noise is torch.Generator().manual_seed(seed) on the CPU, weights are float32. `index.json` of a model's folder `goldens` says the call, and how far an
answer may lie from the latents after each step (precision.py).
"""
import json
import sys
from pathlib import Path

import numpy
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import save_file

import precision

MODELS = Path(__file__).resolve().parents[2] / "models"
SIZE = {"height": 128, "width": 128}
CALLS = {
    "storybook": [
        dict(prompt="a red cat standing in the forest", negative_prompt=None, seed=7, steps=20, guidance_scale=4.0),
        dict(prompt="a rabbit with a blue scarf, waving, at the beach", negative_prompt=None, seed=11, steps=20, guidance_scale=4.0),
        dict(prompt="a drawing of a bear jumping in the snow", negative_prompt="a cat", seed=3, steps=12, guidance_scale=3.0),
        dict(prompt="under the night sky, a robot is holding a balloon", negative_prompt=None, seed=42, steps=25, guidance_scale=1.0),
    ],
    "storybook-flux": [
        dict(prompt="a red cat standing in the forest", negative_prompt="", seed=7, steps=16, true_cfg_scale=2.5),
        dict(prompt="a bear with a hat, holding a balloon, in the city", negative_prompt="snow", seed=11, steps=12, true_cfg_scale=2.0),
        dict(prompt="under the night sky, a frog is jumping", negative_prompt=None, seed=42, steps=16, true_cfg_scale=1.0),
    ],
    "storybook-kandinsky3": [
        dict(prompt="a red cat standing in the forest", negative_prompt=None, seed=7, steps=25, guidance_scale=3.0),
        dict(prompt="a bear with a hat, holding a balloon, in the city", negative_prompt="snow", seed=11, steps=25, guidance_scale=3.0),
    ],
}


class Draws:
    """Takes the place of diffusers' randn_tensor: what a seed's generator gives, the same in every run."""

    def __init__(self, seed):
        self.generator, self.kept, self.count = torch.Generator().manual_seed(seed), [], 0

    def __call__(self, shape, generator=None, device=None, dtype=None, layout=None):
        if self.count == len(self.kept):
            self.kept.append(torch.randn(tuple(shape), generator=self.generator, dtype=torch.float32))
        self.count += 1
        return self.kept[self.count - 1].to(torch.get_default_dtype())

    def start(self):
        self.count = 0
        for key, module in list(sys.modules.items()):
            if key.startswith("diffusers.") and hasattr(module, "randn_tensor"):
                module.randn_tensor = self


def run(pipe, call, draws):
    """The latents after every step, and the picture."""
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    arguments = {key: value for key, value in call.items() if key not in ("seed", "steps")}
    if type(pipe).__name__ == "FluxPipeline":
        arguments["max_sequence_length"] = pipe.tokenizer_2.model_max_length
    steps = []
    draws.start()
    image = pipe(**arguments, **SIZE, num_inference_steps=call["steps"], output_type="np",
                 callback_on_step_end=lambda _, __, ___, values: steps.append(values["latents"].clone()) or {}).images[0]
    return torch.stack(steps), image


def make(model):
    pipe = DiffusionPipeline.from_pretrained(MODELS / model, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    results = []
    for call in CALLS[model]:
        draws = Draws(call["seed"])
        latents, image = run(pipe, call, draws)
        if precision.is_child():
            results.append((latents,))
            continue
        with precision.other_kernels():
            inner, _ = run(pipe, call, draws)
        with precision.float64(*modules):
            wide, _ = run(pipe, call, draws)
        results.append((latents, image, wide, inner))
    return results


def main():
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(CALLS)
    made = {name: make(name) for name in names}
    if precision.is_child():
        precision.answer({name: [latents for latents, in results] for name, results in made.items()})
        return
    others = precision.with_other_kernels()
    for name, results in made.items():
        folder, index, tensors = MODELS / name / "goldens", [], {}
        folder.mkdir(exist_ok=True)
        for number, (call, (latents, image, wide, inner), other) in enumerate(zip(CALLS[name], results, others[name])):
            tensors[f"{number}.latents"] = latents.contiguous()
            Image.fromarray((numpy.asarray(image) * 255).round().astype("uint8")).save(folder / f"{number}.png")
            tolerances = [precision.tolerance(step, *rest) for step, *rest in zip(latents, wide, inner, other)]
            index.append({"png": f"{number}.png", **call, **SIZE, "latents": f"{number}.latents", "tolerances": tolerances})
            print(name, number, "tolerances", tolerances[0], "…", max(tolerances))
        save_file(tensors, folder / "latents.safetensors")
        (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


main()
