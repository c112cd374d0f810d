"""Makes inpainting.safetensors: what a UNet that reads mask and masked image is given in its first call by diffusers, from a seed.

    python make_inpainting.py STORYBOOK OUT

STORYBOOK is models/storybook, whose UNet gets five more channels to read as in InpaintingModelTests. Needs torch, diffusers and
transformers of the versions in the reference's README; the processor alone is used.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from diffusers.models.autoencoders import vae as autoencoder
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as inpainting
from PIL import Image
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Reference"))
import precision  # noqa: E402

SIDE, SEED, STEPS = 128, 5, 2
folder, out = sys.argv[1:3]
torch.set_num_threads(1)
pipe = StableDiffusionXLInpaintPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
pipe.set_progress_bar_config(disable=True)
narrow = pipe.unet.conv_in
wide = torch.nn.Conv2d(9, narrow.out_channels, kernel_size=3, padding=1)
wide.weight = torch.nn.Parameter(torch.cat([narrow.weight, narrow.weight, narrow.weight[:, :1]], dim=1))
wide.bias = narrow.bias
pipe.unet.conv_in = wide
pipe.unet.register_to_config(in_channels=9)

numbers = np.arange(3 * SIDE * SIDE)
picture = Image.fromarray((numbers * 7 % 251).astype(np.uint8).reshape(SIDE, SIDE, 3))
mask = Image.fromarray(np.where(numbers < SIDE * SIDE, 255, 0).astype(np.uint8).reshape(SIDE, SIDE, 3))

# Random numbers of float32 in every precision.
draw, drawn = inpainting.randn_tensor, []


def draws(shape, **arguments):
    drawn.append(draw(shape, **arguments))
    return drawn[-1]


def replays(shape, **arguments):
    return drawn.pop(0).double()


def run(strength, source):
    inpainting.randn_tensor = autoencoder.randn_tensor = source
    samples = []
    hook = pipe.unet.register_forward_pre_hook(lambda _, inputs: samples.append(inputs[0].clone()))
    pipe("a fox", image=picture, mask_image=mask, height=SIDE, width=SIDE, strength=strength, num_inference_steps=STEPS, guidance_scale=1.0,
         generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent")
    hook.remove()
    return samples[0]


tensors = {}
with torch.no_grad():
    for strength in (1.0, 0.5):
        drawn.clear()
        with precision.other_kernels():
            other = run(strength, draw)
        plain = run(strength, draws)
        with precision.float64(pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2):
            exact = run(strength, replays)
        name = f"sample.{strength:g}"
        tensors[name] = plain
        tensors[f"{name}.tolerance"] = torch.tensor(precision.tolerance(plain, exact, other))

save_file(tensors, out)
for name, tensor in tensors.items():
    print(name, tuple(tensor.shape), tensor.mean().item())
