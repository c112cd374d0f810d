"""Makes the LoRAs in `loras/` for the small FLUX model, in the layouts that people have, and the weights that belong to each.

    OMP_NUM_THREADS=1 python make_loras.py          # needs torch, diffusers 0.42, transformers 5

diffusers reads each `flux-LAYOUT.safetensors` into matrices for its own layers (`FluxPipeline.lora_state_dict`); `flux-LAYOUT-values.safetensors` has the
weights with their products added, under diffusers' names.
"""
import inspect
from pathlib import Path

import diffusers.loaders.lora_conversion_utils as conversion
import diffusers.loaders.lora_pipeline as loading
import torch
from diffusers import FluxPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "models" / "tiny-flux"
LORAS = HERE / "loras"
RANK = 2


def fit_converter(width):
    """diffusers has FLUX.1's width written down; the small model has another."""
    name = "_convert_kohya_flux_lora_to_diffusers"
    source = inspect.getsource(getattr(conversion, name))
    assert "3072" in source
    exec(source.replace("3072", str(width)).replace("12288", str(4 * width)), conversion.__dict__)
    setattr(loading, name, getattr(conversion, name))


def layers(width, blocks):
    """Modules of the original code with their inputs and outputs."""
    double = {"img_attn.qkv": (width, 3 * width), "txt_attn.qkv": (width, 3 * width), "img_attn.proj": (width, width), "txt_attn.proj": (width, width),
              "img_mlp.0": (width, 4 * width), "img_mlp.2": (4 * width, width), "txt_mlp.0": (width, 4 * width), "txt_mlp.2": (4 * width, width),
              "img_mod.lin": (width, 6 * width), "txt_mod.lin": (width, 6 * width)}
    single = {"linear1": (width, 7 * width), "linear2": (5 * width, width), "modulation.lin": (width, 3 * width)}
    return {**{f"double_blocks.{i}.{n}": s for i in range(blocks) for n, s in double.items()}, **{f"single_blocks.0.{n}": s for n, s in single.items()}}


def matrices(shapes, down, up, alpha=None):
    tensors = {}
    for name, (inputs, outputs) in shapes.items():
        tensors[name + down], tensors[name + up] = torch.randn(RANK, inputs) * 0.1, torch.randn(outputs, RANK) * 0.1
        if alpha is not None:
            tensors[name + ".alpha"] = torch.tensor(float(alpha))
    return {name: value.half() if "alpha" not in name else value for name, value in tensors.items()}


def make(layout, tensors):
    path = LORAS / f"flux-{layout}.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    matrices, alphas = FluxPipeline.lora_state_dict(str(path), return_alphas=True)
    pipeline, values, used = FluxPipeline.from_pretrained(FOLDER), {}, set()
    for part in ("transformer", "text_encoder"):
        for name, weight in getattr(pipeline, part).state_dict().items():
            layer = f"{part}.{name.removesuffix('.weight')}"
            down, up = f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"
            if part == "text_encoder":
                # diffusers' older names.
                for projection in ("q", "k", "v", "out"):
                    layer = layer.replace(f"{projection}_proj", f"to_{projection}_lora")
                layer = layer.replace("text_encoder.", "text_encoder.text_model.")
                down, up = f"{layer}.down.weight", f"{layer}.up.weight"
            if down not in matrices:
                continue
            used |= {down, up}
            scale = alphas.get(f"{layer}.alpha", torch.tensor(float(RANK))).item() / RANK if alphas else 1
            values[f"{part}.{name}"] = weight + scale * (matrices[up].float() @ matrices[down].float())
    assert used == set(matrices), (layout, sorted(set(matrices) - used)[:5])
    print(layout, len(tensors), "tensors,", len(values), "weights")
    save_file({name: value.contiguous() for name, value in values.items()}, LORAS / f"flux-{layout}-values.safetensors")


if __name__ == "__main__":
    torch.manual_seed(3)
    LORAS.mkdir(exist_ok=True)
    pipeline = FluxPipeline.from_pretrained(FOLDER)
    config = pipeline.transformer.config
    width, text = config.num_attention_heads * config.attention_head_dim, pipeline.text_encoder.config.hidden_size
    fit_converter(width)
    shapes = layers(width, config.num_layers)
    encoder = {f"lora_te1_text_model_encoder_layers_{i}_self_attn_{p}_proj": (text, text) for i in range(1) for p in ("q", "k", "v", "out")}
    kohya = {f"lora_unet_{name.replace('.', '_')}": shape for name, shape in shapes.items()}
    make("kohya", matrices(kohya | encoder, ".lora_down.weight", ".lora_up.weight", alpha=1))
    make("comfy", matrices({f"diffusion_model.{n}": s for n, s in shapes.items()}, ".lora_down.weight", ".lora_up.weight", alpha=4))
    xlabs = {}
    for i in range(config.num_layers):
        for stream in (1, 2):
            xlabs |= {f"double_blocks.{i}.processor.qkv_lora{stream}": (width, 3 * width), f"double_blocks.{i}.processor.proj_lora{stream}": (width, width)}
    xlabs |= {"single_blocks.0.processor.qkv_lora": (width, 3 * width), "single_blocks.0.processor.proj_lora": (5 * width, width)}
    make("xlabs", matrices(xlabs, ".down.weight", ".up.weight"))
