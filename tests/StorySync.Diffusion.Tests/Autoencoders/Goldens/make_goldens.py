"""Makes the goldens beside this file with diffusers (0.42.1, torch 2.13, float32 on the CPU): python make_goldens.py

Each folder is a small model with random weights as save_pretrained writes it, and golden.safetensors: in.* and out.*, and in its metadata how
far an answer may lie from each out.*.
"""
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "Reference"))
import precision  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(7)


@torch.no_grad()
def save(name, model, inputs, case):
    # With biases and norm weights off their initial values, a forgotten one shows.
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(here / name)
    given = inputs()
    plain = case(model, given)
    with precision.float64(model):
        wide = case(model, precision.wider(given))
    with precision.other_kernels():
        other = case(model, given)
    tolerances = {f"out.{key}": str(precision.tolerance(value, wide[key], other[key])) for key, value in plain.items()}
    tensors = {f"in.{key}": value for key, value in given.items()} | {f"out.{key}": value for key, value in plain.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, here / name / "golden.safetensors", tolerances)


def tiny_inputs():
    return {"image": torch.rand(2, 3, 24, 16) * 2 - 1, "latents": torch.randn(2, 5, 6, 4) * 2}


def tiny(model, given):
    return {"latents": model.encode(given["image"]).latents, "image": model.decode(given["latents"]).sample}


save("tiny", AutoencoderTiny(
    encoder_block_out_channels=(6, 6, 6), decoder_block_out_channels=(4, 4, 4), num_encoder_blocks=(1, 2, 0), num_decoder_blocks=(2, 0, 1),
    latent_channels=5), tiny_inputs, tiny)
save("tiny-gelu", AutoencoderTiny(
    encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), act_fn="gelu",
    upsampling_scaling_factor=3, latent_channels=5), tiny_inputs, tiny)


def tiled_inputs():
    return {"image": torch.rand(1, 3, 34, 26) * 2 - 1, "latents": torch.randn(1, 3, 13, 9)}


def tiled(model, given):
    model.disable_tiling()
    whole = model.decode(given["latents"]).sample
    model.enable_tiling()
    return {"mean": model.encode(given["image"]).latent_dist.mean, "image": model.decode(given["latents"]).sample, "whole": whole}


# Two levels, tiles of 16 pixels, attention in a level but not in the middle; the last tiles are narrower than the overlap.
save("kl-tiled", AutoencoderKL(
    down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"), up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    block_out_channels=(4, 6), layers_per_block=1, act_fn="mish", latent_channels=3, norm_num_groups=2, sample_size=16,
    mid_block_add_attention=False, use_quant_conv=True, use_post_quant_conv=False), tiled_inputs, tiled)
