"""Makes the goldens beside this file with diffusers (0.42.1, torch 2.13, float32 on the CPU): python make_goldens.py

Each folder is a small model with random weights as save_pretrained writes it, and golden.safetensors: in.* and out.*.
"""
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

here = Path(__file__).parent
torch.set_num_threads(1)
torch.manual_seed(7)


@torch.no_grad()
def save(name, model, case):
    # With biases and norm weights off their initial values, a forgotten one shows.
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(here / name)
    save_file({k: v.contiguous() for k, v in case(model).items()}, here / name / "golden.safetensors")


def tiny(model):
    image, latents = torch.rand(2, 3, 24, 16) * 2 - 1, torch.randn(2, 5, 6, 4) * 2
    return {"in.image": image, "out.latents": model.encode(image).latents, "in.latents": latents, "out.image": model.decode(latents).sample}


save("tiny", AutoencoderTiny(
    encoder_block_out_channels=(6, 6, 6), decoder_block_out_channels=(4, 4, 4), num_encoder_blocks=(1, 2, 0), num_decoder_blocks=(2, 0, 1),
    latent_channels=5), tiny)
save("tiny-gelu", AutoencoderTiny(
    encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), act_fn="gelu",
    upsampling_scaling_factor=3, latent_channels=5), tiny)


def tiled(model):
    image, latents = torch.rand(1, 3, 34, 26) * 2 - 1, torch.randn(1, 3, 13, 9)
    whole = model.decode(latents).sample
    model.enable_tiling()
    return {
        "in.image": image, "out.mean": model.encode(image).latent_dist.mean, "in.latents": latents, "out.image": model.decode(latents).sample,
        "out.whole": whole}


# Two levels, tiles of 16 pixels, attention in a level but not in the middle; the last tiles are narrower than the overlap.
save("kl-tiled", AutoencoderKL(
    down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"), up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    block_out_channels=(4, 6), layers_per_block=1, act_fn="mish", latent_channels=3, norm_num_groups=2, sample_size=16,
    mid_block_add_attention=False, use_quant_conv=True, use_post_quant_conv=False), tiled)
