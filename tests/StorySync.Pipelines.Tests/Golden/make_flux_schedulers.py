"""Makes flux-schedulers.safetensors: what diffusers computes with FLUX.1 dev and schedulers of other models, on the tiny models of the reference.

    python make_flux_schedulers.py REFERENCE OUT

Needs torch, diffusers and transformers of the versions in the reference's README; the processor alone is used.
"""
import os
import sys

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, FluxImg2ImgPipeline, FluxPipeline, FluxTransformer2DModel, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from PIL import Image
from safetensors.torch import save_file

reference, out = sys.argv[1:3]
torch.set_num_threads(1)
dev = os.path.join(reference, "models", "tiny-flux-dev")
transformer = FluxTransformer2DModel.from_pretrained(os.path.join(dev, "transformer"), local_files_only=True)
pipe = FluxPipeline.from_pretrained(os.path.join(reference, "models", "tiny-flux"), transformer=transformer, local_files_only=True)
pipe.set_progress_bar_config(disable=True)
config = FlowMatchEulerDiscreteScheduler.from_pretrained(os.path.join(dev, "scheduler")).config
flow = dict(use_flow_sigmas=True, prediction_type="flow_prediction")
tensors = {}
for name, scheduler in {
    "euler": FlowMatchEulerDiscreteScheduler.from_config(config),
    "unipc": UniPCMultistepScheduler.from_config(config, **flow),
    "dpm": DPMSolverMultistepScheduler.from_config(config, **flow),
    "unipc-other-shift": UniPCMultistepScheduler.from_config(
        {**config, "base_shift": 0.3, "max_shift": 2.0, "base_image_seq_len": 16, "max_image_seq_len": 64}, **flow),
}.items():
    for height, width in ((64, 96), (128, 96)):
        pipe.scheduler = scheduler
        latents = pipe(prompt="A red fox walks through the snowy forest at dawn", num_inference_steps=6, guidance_scale=3.5, height=height, width=width,
                       max_sequence_length=64, generator=torch.Generator("cpu").manual_seed(5), output_type="latent").images
        tensors[f"{name}.{height}x{width}"] = latents


class UniPC(UniPCMultistepScheduler):
    """With the name by which image to image calls add_noise."""
    def scale_noise(self, sample, timestep, noise):
        return self.add_noise(sample, noise, timestep)


class DPMSolver(DPMSolverMultistepScheduler):
    """As above; the pipeline gives sigmas, which this class does not take: as many of its own."""
    def scale_noise(self, sample, timestep, noise):
        return self.add_noise(sample, noise, timestep)

    def set_timesteps(self, sigmas=None, device=None, mu=None):
        super().set_timesteps(len(sigmas), device=device, mu=mu)


pipe = FluxImg2ImgPipeline.from_pipe(pipe)
pipe.set_progress_bar_config(disable=True)
y, x = np.mgrid[0:64, 0:96]
image = np.stack([2 * y, 2 * x, x + y], axis=2).astype(np.uint8)
tensors["image"] = torch.from_numpy(image)
for name, scheduler in {
    "euler": FlowMatchEulerDiscreteScheduler.from_config(config),
    "unipc": UniPC.from_config(config, **flow),
    "dpm": DPMSolver.from_config(config, **flow),
}.items():
    pipe.scheduler = scheduler
    tensors[f"{name}.from-image"] = pipe(
        prompt="A red fox walks through the snowy forest at dawn", image=Image.fromarray(image), strength=0.7, num_inference_steps=6, guidance_scale=3.5,
        height=64, width=96, max_sequence_length=64, generator=torch.Generator("cpu").manual_seed(5), output_type="latent").images
save_file(tensors, out)
