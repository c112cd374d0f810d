"""Computes golden.safetensors with diffusers 0.42 on the models of tests/Reference, at thresholds that skip some of the steps: FLUX with diffusers' own
first-block cache, and the UNets, for which diffusers has none, with DeepCache (arXiv 2312.00858) by forwards that are set in place of their blocks'.

    python make_golden.py

How far an answer may lie from the latents is in the file's metadata.
"""
import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, FirstBlockCacheConfig, FluxPipeline, Kandinsky3Pipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

REFERENCE = Path(__file__).resolve().parents[3] / "Reference"
sys.path.insert(0, str(REFERENCE))
import precision  # noqa: E402

MODELS = REFERENCE / "models"
PROMPTS = ["a red fox in the snow", "the owl reads"]
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
            change = None if last is None else ((hidden - last).abs().mean() / last.abs().mean()).item()
            changes.append(change)
            state["skips"] = change is not None and change <= threshold
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


def run(make, cache, noise, threshold, wide=False, **arguments):
    """The last latents, and the steps that were computed."""
    pipeline, latents, blocks = make(), [], []
    pipeline.set_progress_bar_config(disable=True)
    cache(pipeline, threshold).register_forward_hook(lambda *_: blocks.append(len(latents)))

    def keep(_pipeline, _step, _timestep, values):
        latents.append(values["latents"].clone())
        return {}

    def call(given):
        pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
        pipeline(PROMPTS, num_inference_steps=STEPS, latents=given, output_type="latent", callback_on_step_end=keep, **arguments)

    if wide:
        with precision.float64(*[part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]):
            call(noise.double())
    else:
        call(noise.clone())
    return latents[-1], torch.tensor([int(step in blocks) for step in range(STEPS)], dtype=torch.int64)


def add(name, make, cache, shape, threshold, **arguments):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    changes.clear()
    latents, computed = run(make, cache, noise, threshold, **arguments)
    print(name, threshold, computed.tolist(), [round(change, 3) for change in changes if change is not None])
    wide, wide_computed = run(make, cache, noise, threshold, wide=True, **arguments)
    with precision.other_kernels():
        other, other_computed = run(make, cache, noise, threshold, **arguments)
    assert 2 <= computed.sum() < STEPS and computed.equal(wide_computed) and computed.equal(other_computed)
    golden.update({f"{name}.{threshold}.noise": noise, f"{name}.{threshold}.latents": latents, f"{name}.{threshold}.computed": computed})
    tolerances[f"{name}.{threshold}.latents"] = str(precision.tolerance(latents, wide, other))


def load(cls, name):
    return cls.from_pretrained(MODELS / name, torch_dtype=torch.float32)


def kandinsky3():
    pipeline = load(Kandinsky3Pipeline, "tiny-kandinsky3")
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline


golden, tolerances, changes = {}, {}, []
for threshold in (0.65, 0.8):
    add("flux", lambda: load(FluxPipeline, "tiny-flux"), cache_first_block, (2, 16, 16), threshold, height=32, width=32, max_sequence_length=32)
for threshold in (0.2, 0.4):
    add("sdxl", lambda: load(StableDiffusionXLPipeline, "tiny-sdxl"), cache_deep_blocks, (2, 4, 8, 8), threshold, height=32, width=32)
for threshold in (0.73, 0.8):
    # Over ten steps guidance would make last bits large.
    add("kandinsky3", kandinsky3, cache_deep_blocks, (2, 4, 8, 8), threshold, height=64, width=64, guidance_scale=1)

save_file(golden, Path(__file__).with_name("golden.safetensors"), tolerances)
print(tolerances)
