"""Makes scheduler-matrix.safetensors: the latents that diffusers' pipelines give with every scheduler, for every prediction type, on the small models
of tests/Reference.

    python make_scheduler_matrix.py MODELS OUT

MODELS is tests/Reference/models. Needs torch, diffusers and transformers of the versions in the reference's README; the processor alone is used.
"""
import inspect
import os
import sys

import diffusers
import torch
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

models, out = sys.argv[1:3]
torch.set_num_threads(1)
PROMPT, SEED, STEPS = "A red fox walks through the snowy forest", 3, 5
CLASSES = ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
           "HeunDiscreteScheduler", "LCMScheduler", "PNDMScheduler", "TCDScheduler", "UniPCMultistepScheduler"]
tensors = {}


def scheduler_class(name, model):
    """The class; for Kandinsky 3, whose pipeline gives every scheduler a generator, one that takes it."""
    own = getattr(diffusers, name)
    if model != "tiny-kandinsky3" or "generator" in inspect.signature(own.step).parameters:
        return own
    return type(name, (own,), {"step": lambda self, *args, generator=None, **kwargs: own.step(self, *args, **kwargs)})


def scale_inputs(pipe):
    """Has the denoiser see what the scheduler scales, which Kandinsky 3's pipeline leaves out."""
    pipe.unet.register_forward_pre_hook(lambda unet, args: (pipe.scheduler.scale_model_input(args[0], args[1]), *args[1:]))


def run(model, pipe, config, name, prediction, dtype=torch.float32, variant="", eta=None, **entries):
    try:
        pipe.scheduler = scheduler_class(name, model).from_config({**config, "prediction_type": prediction, **entries})
        arguments = {} if eta is None else {"eta": eta}
        size = dict(height=64, width=64)
        latents = pipe(prompt=PROMPT, num_inference_steps=STEPS, guidance_scale=4.0, generator=torch.Generator("cpu").manual_seed(SEED),
                       output_type="latent", **size, **arguments)
        latents = latents.images if hasattr(latents, "images") else latents[0]
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        print("refused by diffusers:", model, name, prediction, type(error).__name__, str(error)[:90])
        return
    run_name = f"{model}.{name}.{prediction}.{variant}.{str(dtype).split('.')[1]}"
    tensors[run_name] = latents.float().contiguous()
    if dtype == torch.float32:
        # How far rounding goes: the same with other kernels.
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            pipe.scheduler = scheduler_class(name, model).from_config({**config, "prediction_type": prediction, **entries})
            other = pipe(prompt=PROMPT, num_inference_steps=STEPS, guidance_scale=4.0, generator=torch.Generator("cpu").manual_seed(SEED),
                         output_type="latent", **size, **arguments)
            other = other.images if hasattr(other, "images") else other[0]
        tensors["rounding." + run_name] = ((other - latents).pow(2).mean() / latents.pow(2).mean()).sqrt().reshape(1)


for model, pipeline in {"tiny-sdxl": diffusers.StableDiffusionXLPipeline, "tiny-kandinsky3": diffusers.Kandinsky3Pipeline}.items():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        pipe = pipeline.from_pretrained(os.path.join(models, model), torch_dtype=dtype, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        if model == "tiny-kandinsky3":
            scale_inputs(pipe)
        config = dict(pipe.scheduler.config)
        config.pop("_class_name")
        if dtype == torch.float32:
            for name in CLASSES:
                for prediction in ("epsilon", "v_prediction", "sample"):
                    run(model, pipe, config, name, prediction)
        for name in ("DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"):
            run(model, pipe, config, name, "epsilon", dtype)
        run(model, pipe, config, "DPMSolverMultistepScheduler", "epsilon", dtype, "sde", algorithm_type="sde-dpmsolver++")
        if model == "tiny-sdxl":
            run(model, pipe, config, "DDIMScheduler", "epsilon", dtype, "eta", eta=0.4)
            run(model, pipe, config, "TCDScheduler", "epsilon", dtype, "eta", eta=0.4)
            run(model, pipe, config, "TCDScheduler", "v_prediction", dtype, "eta", eta=0.9)
save_file(tensors, out)
for name, tensor in tensors.items():
    print(name, tuple(tensor.shape), tensor.abs().max().item())
