"""Makes half-precision.safetensors: what diffusers computes in bfloat16 and float16 from seeds, on the tiny models of the reference.

    python make_half_precision.py REFERENCE OUT

Needs torch, diffusers and transformers of the versions in the reference's README; the processor alone is used.
"""
import os
import sys

import numpy as np
import torch
from diffusers import (DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, FluxImg2ImgPipeline, FluxPipeline, Kandinsky3Pipeline,
                       LCMScheduler, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline)
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from safetensors.torch import save_file

reference, out = sys.argv[1:3]
torch.set_num_threads(1)
PROMPT = "A red fox walks through the snowy forest at dawn, watercolor painting"
SEED, STEPS = 3, 4
tensors = {}


def picture():
    """A smooth picture, so that what it becomes does not hang on single pixels."""
    y, x = np.mgrid[0:64, 0:64]
    return Image.fromarray(np.stack([x * 4 % 256, y * 4 % 256, (x + y) * 2 % 256], axis=2).astype(np.uint8))


def run(name, pipe, dtype, scheduler=None, **arguments):
    pipe.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **arguments.pop("scheduler_config", {}))
    generator = torch.Generator("cpu").manual_seed(SEED)
    image = pipe(prompt=PROMPT, num_inference_steps=arguments.pop("steps", STEPS), generator=generator, output_type="pil", **arguments).images[0]
    tensors[f"{name}.{str(dtype).split('.')[1]}.image"] = torch.from_numpy(np.asarray(image).copy())


for dtype in (torch.float32, torch.bfloat16, torch.float16):
    kind = str(dtype).split(".")[1]
    for size in (7, 64, 4096):
        tensors[f"noise.{size}.{kind}"] = randn_tensor((1, size), generator=torch.Generator("cpu").manual_seed(SEED), dtype=dtype)
    load = dict(torch_dtype=dtype, local_files_only=True)
    size = dict(height=64, width=64)
    sdxl = os.path.join(reference, "models", "tiny-sdxl")
    run("sdxl", StableDiffusionXLPipeline.from_pretrained(sdxl, **load), dtype, guidance_scale=5.0, **size)
    run("sdxl-ancestral", StableDiffusionXLPipeline.from_pretrained(sdxl, **load), dtype, EulerAncestralDiscreteScheduler, guidance_scale=5.0, **size)
    run("sdxl-sde", StableDiffusionXLPipeline.from_pretrained(sdxl, **load), dtype, DPMSolverMultistepScheduler, guidance_scale=5.0,
        scheduler_config=dict(algorithm_type="sde-dpmsolver++"), **size)
    run("sdxl-lcm", StableDiffusionXLPipeline.from_pretrained(sdxl, **load), dtype, LCMScheduler, guidance_scale=1.0, **size)
    run("sdxl-image", StableDiffusionXLImg2ImgPipeline.from_pretrained(sdxl, **load), dtype, guidance_scale=5.0, image=picture(), strength=0.6,
        steps=5)
    flux = os.path.join(reference, "models", "tiny-flux")
    run("flux", FluxPipeline.from_pretrained(flux, **load), dtype, guidance_scale=3.5, max_sequence_length=256, **size)
    run("flux-image", FluxImg2ImgPipeline.from_pretrained(flux, **load), dtype, guidance_scale=3.5, image=picture(), strength=0.6, steps=5,
        max_sequence_length=256, **size)
    k3 = os.path.join(reference, "models", "tiny-kandinsky3")
    run("kandinsky3", Kandinsky3Pipeline.from_pretrained(k3, **load), dtype, guidance_scale=3.0, **size)

save_file(tensors, out)
for name, tensor in tensors.items():
    print(name, tuple(tensor.shape), tensor.float().mean().item())
