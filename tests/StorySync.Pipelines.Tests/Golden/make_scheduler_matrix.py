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
PROMPT, SEED = "A red fox walks through the snowy forest", 3
CLASSES = ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
           "HeunDiscreteScheduler", "LCMScheduler", "PNDMScheduler", "TCDScheduler", "UniPCMultistepScheduler"]
# What each step clips, and a schedule that begins with no signal at all, let rounding decide signs: half precision would prove nothing there.
SMOOTH = {"clip_sample": False, "beta_schedule": "scaled_linear"}
# In five steps these go so far from their data that rounding shows in the latents.
FEW = [("HeunDiscreteScheduler", "epsilon"), ("HeunDiscreteScheduler", "v_prediction"), ("HeunDiscreteScheduler", "sample"),
       ("DDIMScheduler", "sample"), ("EulerDiscreteScheduler", "sample")]
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
    def draw():
        pipe.scheduler = scheduler_class(name, model).from_config({**config, "prediction_type": prediction, **entries})
        arguments = {} if eta is None else {"eta": eta}
        if model == "tiny-flux":
            arguments["max_sequence_length"] = pipe.tokenizer_2.model_max_length
        latents = pipe(prompt=PROMPT, num_inference_steps=3 if variant == "few" else 5, guidance_scale=2.0 if "smooth" in variant else 4.0,
                       generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent", height=64, width=64, **arguments)
        return latents.images if hasattr(latents, "images") else latents[0]

    try:
        latents = draw()
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        print("refused by diffusers:", model, name, prediction, type(error).__name__, str(error)[:90])
        return
    run_name = f"{model}.{name}.{prediction}.{variant}.{str(dtype).split('.')[1]}"
    tensors[run_name] = latents.float().contiguous()
    if dtype == torch.float32:
        # How far rounding goes: the same with other kernels.
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            other = draw()
        tensors["rounding." + run_name] = ((other - latents).pow(2).mean() / latents.pow(2).mean()).sqrt().reshape(1)


for model, pipeline in {"tiny-sdxl": diffusers.StableDiffusionXLPipeline, "tiny-kandinsky3": diffusers.Kandinsky3Pipeline,
                        "tiny-flux": diffusers.FluxPipeline}.items():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        pipe = pipeline.from_pretrained(os.path.join(models, model), torch_dtype=dtype, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        if model == "tiny-kandinsky3":
            scale_inputs(pipe)
        config = dict(pipe.scheduler.config)
        config.pop("_class_name")
        sdxl = model == "tiny-sdxl"
        if model == "tiny-flux":
            # Its pipeline gives steps that draw noise no generator.
            run(model, pipe, config, "FlowMatchEulerDiscreteScheduler", "flow_prediction", dtype)
            for name in ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler"):
                run(model, pipe, config, name, "flow_prediction", dtype, "flow", use_flow_sigmas=True, use_dynamic_shifting=True)
            continue
        if dtype == torch.float32:
            for name in CLASSES:
                for prediction in ("epsilon", "v_prediction", "sample"):
                    run(model, pipe, config, name, prediction, variant="few" if not sdxl and (name, prediction) in FEW else "")
            if sdxl:
                for name in ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"):
                    for prediction in ("epsilon", "v_prediction"):
                        run(model, pipe, config, name, prediction, variant="edm", sigma_min=0.002, sigma_max=80.0)
        for smooth in (False, True) if dtype == torch.float32 else (True,):
            more = SMOOTH if smooth else {}
            suffix = "-smooth" if smooth else ""
            run(model, pipe, config, "DPMSolverMultistepScheduler", "epsilon", dtype, "sde" + suffix, algorithm_type="sde-dpmsolver++", **more)
            if smooth:
                for name in ("DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"):
                    run(model, pipe, config, name, "epsilon", dtype, "smooth", **more)
            if sdxl:
                run(model, pipe, config, "DDIMScheduler", "epsilon", dtype, "eta" + suffix, eta=0.4, **more)
                run(model, pipe, config, "TCDScheduler", "epsilon", dtype, "eta" + suffix, eta=0.4, **more)
                run(model, pipe, config, "TCDScheduler", "v_prediction", dtype, "eta" + suffix, eta=0.9, **more)
save_file(tensors, out)
for name, tensor in tensors.items():
    print(name, tuple(tensor.shape), tensor.abs().max().item())
