"""The same work as the benchmark commands of the same names, by diffusers on PyTorch; the last line is JSON.

    python diffusers_run.py unet | vae-decode [--folder MODEL]     a folder's model, or SDXL at full size with random weights
    python diffusers_run.py flux-small                             FLUX at real width, 2 + 4 of its blocks, random weights
    python diffusers_run.py kandinsky3                             Kandinsky 3's UNet at full size, random weights
    python diffusers_run.py pipeline | load --folder MODEL
"""
import argparse
import json
import os
import resource
import statistics
import time

import diffusers
import torch

SDXL_UNET = dict(
    sample_size=128, block_out_channels=[320, 640, 1280], transformer_layers_per_block=[1, 2, 10], attention_head_dim=[5, 10, 20],
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], cross_attention_dim=2048, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
SDXL_VAE = dict(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)


def random_model(kind, config, dtype=torch.float32):
    with torch.device("meta"):
        model = kind(**config)
    model = model.to(dtype).to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.uniform_(-0.02, 0.02)
    return model.eval()


def part(options, name, kind, config):
    dtype = getattr(torch, options.dtype)
    if options.folder:
        model = kind.from_pretrained(os.path.join(options.folder, name), torch_dtype=dtype)
    else:
        model = random_model(kind, config, dtype)
    return model.to(memory_format=torch.channels_last) if options.channels_last else model


def unet(options):
    model = part(options, "unet", diffusers.UNet2DConditionModel, SDXL_UNET)
    config, rows, dtype = model.config, options.batch, model.dtype
    inputs = dict(
        sample=torch.randn(rows, config.in_channels, options.height // 8, options.width // 8).to(dtype), timestep=torch.tensor(500),
        encoder_hidden_states=torch.randn(rows, options.tokens, config.cross_attention_dim).to(dtype),
        added_cond_kwargs=dict(
            text_embeds=torch.randn(rows, config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim).to(dtype),
            time_ids=torch.randn(rows, 6).to(dtype)))
    return lambda: model(**inputs)


def vae_decode(options):
    model = part(options, "vae", diffusers.AutoencoderKL, SDXL_VAE)
    latents = torch.randn(options.batch, model.config.latent_channels, options.height // 8, options.width // 8)
    return lambda: model.decode(latents)


def flux_small(options):
    model = random_model(diffusers.FluxTransformer2DModel, dict(num_layers=2, num_single_layers=4))
    config, rows, height, width = model.config, options.batch, options.height // 16, options.width // 16
    ids = torch.stack(torch.meshgrid(torch.zeros(1), torch.arange(height).float(), torch.arange(width).float(), indexing="ij"), -1).reshape(-1, 3)
    inputs = dict(
        hidden_states=torch.randn(rows, height * width, config.in_channels), timestep=torch.full((rows,), 0.5), img_ids=ids,
        encoder_hidden_states=torch.randn(rows, options.tokens, config.joint_attention_dim), txt_ids=torch.zeros(options.tokens, 3),
        pooled_projections=torch.randn(rows, config.pooled_projection_dim))
    return lambda: model(**inputs)


def kandinsky3(options):
    model = random_model(diffusers.Kandinsky3UNet, {})
    config, rows = model.config, options.batch
    inputs = dict(
        sample=torch.randn(rows, config.in_channels, options.height // 8, options.width // 8), timestep=torch.tensor(500),
        encoder_hidden_states=torch.randn(rows, options.tokens, config.encoder_hid_dim),
        encoder_attention_mask=torch.ones(rows, options.tokens, dtype=torch.bool))
    return lambda: model(**inputs)


def pipeline(options):
    pipe = diffusers.DiffusionPipeline.from_pretrained(options.folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if options.channels_last:
        pipe.unet.to(memory_format=torch.channels_last)
    return lambda: pipe(
        [options.prompt] * options.batch, num_inference_steps=options.steps, height=options.height, width=options.width,
        generator=torch.Generator().manual_seed(0))


def load(options):
    return lambda: diffusers.DiffusionPipeline.from_pretrained(options.folder, torch_dtype=torch.float32)


def main():
    kinds = {"unet": unet, "vae-decode": vae_decode, "flux-small": flux_small, "kandinsky3": kandinsky3, "pipeline": pipeline, "load": load}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=kinds)
    parser.add_argument("--folder")
    parser.add_argument("--prompt", default="a cat standing in the forest")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--dtype", default="float32", type=str.lower)
    for name, value in dict(height=512, width=512, batch=1, tokens=77, steps=20, iters=5, warmup=1, threads=2).items():
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        work = kinds[options.what](options)
        seconds = []
        for _ in range(options.warmup + options.iters):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(what=options.what, seconds=statistics.median(seconds[options.warmup:]), peak_rss_mb=peak, threads=torch.get_num_threads())))


main()
