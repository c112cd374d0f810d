"""Makes flux-schedulers.safetensors: what diffusers computes with FLUX.1 dev and schedulers of other models, on the tiny models of the reference.

    python make_flux_schedulers.py REFERENCE OUT

Needs torch, diffusers and transformers of the versions in the reference's README; the processor alone is used.
"""
import os
import sys

import torch
from diffusers import DPMSolverMultistepScheduler, FluxPipeline, FluxTransformer2DModel, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
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
save_file(tensors, out)
