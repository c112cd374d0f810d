"""Computes golden.safetensors with diffusers 0.42, at thresholds that skip some of the steps: FLUX with diffusers' own first-block cache, and the
UNets, for which diffusers has none, with DeepCache (arXiv 2312.00858) by forwards that are set in place of their blocks'.

    python make_golden.py REFERENCE/models
"""
import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, FirstBlockCacheConfig, FluxPipeline, Kandinsky3Pipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

MODELS = Path(sys.argv[1])
PROMPTS = ["a red fox in the snow", "a cat"]
STEPS = 10


def cache_first_block(pipeline, threshold):
    pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    return pipeline.transformer.single_transformer_blocks[-1].attn


def cache_deep_blocks(pipeline, threshold):
    """The first block on the way down decides; the last on the way up and what is around the blocks always run."""
    unet, state = pipeline.unet, {"last": None, "skips": False}

    def first(forward):
        def decide(*args, **kwargs):
            result = forward(*args, **kwargs)
            hidden, last = result[0] if isinstance(result, tuple) else result, state["last"]
            state["skips"] = last is not None and ((hidden - last).abs().mean() / last.abs().mean()).item() <= threshold
            state["last"] = last if state["skips"] else hidden
            return result

        return decide

    def deep(forward):
        kept = {}

        def reuse(*args, **kwargs):
            if not state["skips"]:
                kept["result"] = forward(*args, **kwargs)
            return kept["result"]

        return reuse

    unet.down_blocks[0].forward = first(unet.down_blocks[0].forward)
    middle = [unet.mid_block] if getattr(unet, "mid_block", None) is not None else []
    for block in [*unet.down_blocks[1:], *middle, *unet.up_blocks[:-1]]:
        block.forward = deep(block.forward)
    return unet.up_blocks[0].resnets[0] if hasattr(unet.up_blocks[0], "resnets") else unet.up_blocks[0].resnets_in[0]


def run(name, pipeline, cache, shape, threshold, **arguments):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    latents, blocks = [], []
    cache(pipeline, threshold).register_forward_hook(lambda *_: blocks.append(len(latents)))

    def keep(_pipeline, _step, _timestep, values):
        latents.append(values["latents"].clone())
        return {}

    pipeline(PROMPTS, num_inference_steps=STEPS, latents=noise.clone(), output_type="latent", callback_on_step_end=keep, **arguments)
    golden[f"{name}.{threshold}.noise"] = noise
    golden[f"{name}.{threshold}.latents"] = latents[-1]
    golden[f"{name}.{threshold}.computed"] = torch.tensor([int(step in blocks) for step in range(STEPS)], dtype=torch.int64)
    print(name, threshold, sorted(set(blocks)))


golden = {}
for threshold in (0.6, 0.8):
    run("flux", FluxPipeline.from_pretrained(MODELS / "tiny-flux"), cache_first_block, (2, 16, 64), threshold, height=64, width=64, max_sequence_length=32)
for threshold in (0.2, 0.4):
    run("sdxl", StableDiffusionXLPipeline.from_pretrained(MODELS / "tiny-sdxl"), cache_deep_blocks, (2, 4, 8, 8), threshold, height=64, width=64)
for threshold in (0.7, 0.9):
    kandinsky3 = Kandinsky3Pipeline.from_pretrained(MODELS / "tiny-kandinsky3")
    kandinsky3.scheduler = DDIMScheduler.from_config(kandinsky3.scheduler.config)
    # Over ten steps guidance would make last bits large.
    run("kandinsky3", kandinsky3, cache_deep_blocks, (2, 4, 8, 8), threshold, height=64, width=64, guidance_scale=1)

save_file(golden, Path(__file__).with_name("golden.safetensors"))
