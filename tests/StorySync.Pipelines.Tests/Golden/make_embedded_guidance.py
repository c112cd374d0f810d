"""Makes embedded-guidance.safetensors: the latents of diffusers' SDXL pipeline with a UNet that is told its guidance scale (time_cond_proj_dim), as
LCM-SDXL's is: the small model of tests/Reference with one more layer, whose weights are sines.

    python make_embedded_guidance.py MODELS OUT

MODELS is tests/Reference/models. Needs torch, diffusers and transformers of the versions in the reference's README; the processor alone is used.
"""
import os
import sys

import diffusers
import torch
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

models, out = sys.argv[1:3]
torch.set_num_threads(1)
folder = os.path.join(models, "tiny-sdxl")
tensors = {}
for width in (32, 33):
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    config = dict(pipe.unet.config)
    unet = diffusers.UNet2DConditionModel.from_config({**config, "time_cond_proj_dim": width})
    channels = config["block_out_channels"][0]
    values = torch.sin(0.7 * torch.arange(channels * width, dtype=torch.float64)).float().reshape(channels, width)
    unet.load_state_dict({**pipe.unet.state_dict(), "time_embedding.cond_proj.weight": values})
    pipe.unet = unet.eval()
    pipe.scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)

    def draw(scale):
        return pipe(prompt=["A red fox walks", "a hill"], num_inference_steps=4, guidance_scale=scale, height=64, width=64,
                    generator=[torch.Generator("cpu").manual_seed(seed) for seed in (3, 4)], output_type="latent").images

    for scale in (1.0, 7.5):
        latents = draw(scale)
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            rounding = (draw(scale) - latents).abs().max()
        tensors[f"{width}.{scale}"] = latents.contiguous()
        tensors[f"{width}.{scale}.tolerance"] = (10 * rounding).clamp(min=1e-5).reshape(1)
save_file(tensors, out)
for name, tensor in tensors.items():
    print(name, tuple(tensor.shape), tensor.abs().max().item())
