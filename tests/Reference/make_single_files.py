"""Makes the single files in `single/` from the small models in `models/`, and the names of full-size ones.

    OMP_NUM_THREADS=1 python make_single_files.py [MANIFESTS]      # needs torch, diffusers 0.42, transformers 5

The inverse of the renaming that diffusers does is written down here; diffusers' `from_single_file(file, config=folder)` then has to read each file, and
give the weights of the folder to the last bit. With the folder MANIFESTS (names and shapes of full-size checkpoints, as `sdxl-unet.json`), the names and
shapes of the published files are made as well, and run through diffusers' converters in the same way.

`blocks.safetensors` has blocks of every format of fewer bits and what diffusers (its functions for GGUF, in float32) and PyTorch (8-bit floats) make of
them. `flux-fp8.safetensors` and `flux.gguf` hold the transformer in such formats; `…-values.safetensors` have the numbers that they stand for.
"""
import gzip
import inspect
import itertools
import json
import re
import struct
import sys
import types
from enum import IntEnum
from pathlib import Path

import numpy

import diffusers.loaders.single_file_utils as utils
import torch
from diffusers import FluxPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

HERE = Path(__file__).resolve().parent
SINGLE = HERE / "single"
FLUX_CONVERTER = inspect.getsource(utils.convert_flux_transformer_checkpoint_to_diffusers)

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "conv_shortcut": "skip_connection"}
OUTSIDE = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
           "add_embedding.linear_2": "label_emb.0.2", "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}


def original_unet(name, layers):
    module, parameter = name.rsplit(".", 1)
    if module in OUTSIDE:
        return f"{OUTSIDE[module]}.{parameter}"
    parts = name.split(".")
    if parts[0] == "mid_block":
        kind, index, rest = parts[1], int(parts[2]), parts[3:]
        block, level = f"middle_block.{1 if kind == 'attentions' else 2 * index}", None
        if kind == "attentions":
            return ".".join([block, *rest])
        return ".".join([block, RESNET[rest[0]], *rest[1:]])
    half, level, kind, index, rest = parts[0], int(parts[1]), parts[2], int(parts[3]), parts[4:]
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest[-1]}"
    if kind == "upsamplers":
        return f"output_blocks.{level * (layers + 1) + layers}.UP.conv.{rest[-1]}"
    block = f"input_blocks.{1 + level * (layers + 1) + index}" if half == "down_blocks" else f"output_blocks.{level * (layers + 1) + index}"
    return ".".join([block, "1", *rest]) if kind == "attentions" else ".".join([block, "0", RESNET[rest[0]], *rest[1:]])


def unet_tensors(state, layers):
    """layers: resnets of a level."""
    names = {name: original_unet(name, layers) for name in state}
    stored = set(names.values())
    for name, old in names.items():
        # The upsampler follows the transformer, or the resnet in a level without.
        block = old.split(".UP.")[0]
        names[name] = old.replace(".UP.", ".2." if any(n.startswith(f"{block}.1.") for n in stored) else ".1.")
    return {f"model.diffusion_model.{names[name]}": value for name, value in state.items()}


def vae_tensors(state, prefix):
    levels = 1 + max(int(m[1]) for n in state if (m := re.match(r"decoder\.up_blocks\.(\d+)", n)))
    result = {}
    for name, value in state.items():
        old = re.sub(r"decoder\.up_blocks\.(\d+)", lambda m: f"decoder.up.{levels - 1 - int(m[1])}", name)
        old = re.sub(r"encoder\.down_blocks", "encoder.down", old)
        old = old.replace(".downsamplers.0.", ".downsample.").replace(".upsamplers.0.", ".upsample.")
        old = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", old)
        old = old.replace(".resnets.", ".block.").replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if "mid_block.attentions.0" in old:
            old = old.replace("mid_block.attentions.0", "mid.attn_1")
            for new, short in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
                old = old.replace(f".{new}.", f".{short}.")
            if value.dim() == 2:
                value = value[:, :, None, None]
        result[prefix + old] = value
    return result


def text_model(state):
    """transformers 5 writes a text encoder without this."""
    return {name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": value for name, value in state.items()}


def open_clip_tensors(state, prefix="conditioner.embedders.1.model."):
    result = {}
    for name, value in text_model(state).items():
        if m := re.match(r"text_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(\w+)", name):
            if m[2] == "q":
                rest = [text_model(state)[name.replace("q_proj", f"{p}_proj")] for p in "qkv"]
                result[f"transformer.resblocks.{m[1]}.attn.in_proj_{m[3]}"] = torch.cat(rest)
            continue
        old = name.replace("text_model.encoder.layers.", "transformer.resblocks.").replace("self_attn.", "attn.").replace("layer_norm", "ln_")
        old = old.replace("fc1", "c_fc").replace("fc2", "c_proj").replace("text_model.final_ln_.", "ln_final.").replace("ln_.", "ln_final.")
        old = old.replace("text_model.embeddings.token_embedding", "token_embedding")
        old = old.replace("text_model.embeddings.position_embedding.weight", "positional_embedding")
        if old == "text_projection.weight":
            old, value = "text_projection", value.T
        result[old.replace("text_model.", "")] = value
    return {prefix + name: value for name, value in result.items()}


def flux_tensors(state, prefix="model.diffusion_model."):
    renamed = {"time_text_embed.timestep_embedder.linear_1": "time_in.in_layer", "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
               "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
               "time_text_embed.text_embedder.linear_1": "vector_in.in_layer", "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
               "context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1"}
    double = {"norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
              "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2", "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2"}
    norms = {"attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm", "attn.norm_added_q": "txt_attn.norm.query_norm",
             "attn.norm_added_k": "txt_attn.norm.key_norm"}
    single = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
    result = {}
    for name, value in state.items():
        module, parameter = name.rsplit(".", 1)
        if module in renamed:
            value = torch.cat(value.chunk(2)[::-1]) if module == "norm_out.linear" else value
            result[f"{renamed[module]}.{parameter}"] = value
            continue
        kind, index, layer = module.split(".", 2)
        at = f"{'double' if kind == 'transformer_blocks' else 'single'}_blocks.{index}"
        if at.startswith("double"):
            if layer in double:
                result[f"{at}.{double[layer]}.{parameter}"] = value
            elif layer in norms:
                result[f"{at}.{norms[layer]}.scale"] = value
            elif layer == "attn.to_q":
                result[f"{at}.img_attn.qkv.{parameter}"] = torch.cat([state[name.replace("to_q", f"to_{p}")] for p in "qkv"])
            elif layer == "attn.add_q_proj":
                result[f"{at}.txt_attn.qkv.{parameter}"] = torch.cat([state[name.replace("add_q", f"add_{p}")] for p in "qkv"])
        elif layer in single:
            result[f"{at}.{single[layer]}.{parameter}"] = value
        elif layer in norms:
            result[f"{at}.{norms[layer].removeprefix('img_attn.')}.scale"] = value
        elif layer == "attn.to_q":
            parts = [state[name.replace("to_q", f"to_{p}")] for p in "qkv"] + [state[f"{kind}.{index}.proj_mlp.{parameter}"]]
            result[f"{at}.linear1.{parameter}"] = torch.cat(parts)
    return {prefix + name: value for name, value in result.items()}


def weights(folder):
    return load_file(next(Path(folder).glob("*.safetensors")))


def contiguous(tensors):
    return {name: value.contiguous().clone() for name, value in tensors.items()}


def fit_flux_converter(width):
    """diffusers' converter has FLUX.1's width written down; the small models have another."""
    assert "inner_dim = 3072" in FLUX_CONVERTER
    exec(FLUX_CONVERTER.replace("inner_dim = 3072", f"inner_dim = {width}"), utils.__dict__)
    from diffusers.loaders import single_file_model
    single_file_model.SINGLE_FILE_LOADABLE_CLASSES["FluxTransformer2DModel"]["checkpoint_mapping_fn"] = \
        utils.convert_flux_transformer_checkpoint_to_diffusers


def assert_equal(found, expected, what):
    found, expected = text_model(found.state_dict()), text_model(expected.state_dict())
    assert found.keys() == expected.keys(), (what, found.keys() ^ expected.keys())
    assert all(torch.equal(found[name].float(), value.float()) for name, value in expected.items()), what


def make_sdxl():
    folder = HERE / "models" / "tiny-sdxl"
    text = text_model(weights(folder / "text_encoder"))
    ids = torch.arange(next(v for n, v in text.items() if "position_embedding" in n).shape[0])[None]
    tensors = {
        **unet_tensors(weights(folder / "unet"), json.loads((folder / "unet" / "config.json").read_text())["layers_per_block"]),
        **vae_tensors(weights(folder / "vae"), "first_stage_model."),
        **{f"conditioner.embedders.0.transformer.{name}": value for name, value in text.items()},
        "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": ids,
        **open_clip_tensors(weights(folder / "text_encoder_2")),
        "conditioner.embedders.1.model.logit_scale": torch.tensor(4.6),
        # What training leaves in such files.
        "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7), "denoiser.sigmas": torch.rand(5),
        "alphas_cumprod": torch.rand(5), "betas": torch.rand(5),
    }
    path = SINGLE / "sdxl.safetensors"
    save_file(contiguous(tensors), path)
    found = StableDiffusionXLPipeline.from_single_file(str(path), config=str(folder), local_files_only=True)
    expected = StableDiffusionXLPipeline.from_pretrained(folder)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        assert_equal(getattr(found, part), getattr(expected, part), part)


def make_flux():
    folder = HERE / "models" / "tiny-flux"
    config = json.loads((folder / "transformer" / "config.json").read_text())
    # Published files have the table of tokens under both of its names.
    t5 = weights(folder / "text_encoder_2")
    t5["encoder.embed_tokens.weight"] = t5["shared.weight"]
    tensors = {
        **flux_tensors(weights(folder / "transformer")),
        **vae_tensors(weights(folder / "vae"), "vae."),
        **{f"text_encoders.clip_l.transformer.{name}": value for name, value in text_model(weights(folder / "text_encoder")).items()},
        "text_encoders.clip_l.transformer.text_projection.weight": torch.rand(4, 4), "text_encoders.clip_l.logit_scale": torch.tensor(4.6),
        **{f"text_encoders.t5xxl.transformer.{name}": value for name, value in t5.items()}, "text_encoders.t5xxl.logit_scale": torch.tensor(4.6),
    }
    path = SINGLE / "flux.safetensors"
    save_file(contiguous(tensors), path)
    fit_flux_converter(config["num_attention_heads"] * config["attention_head_dim"])
    found = FluxPipeline.from_single_file(str(path), config=str(folder), local_files_only=True)
    expected = FluxPipeline.from_pretrained(folder)
    for part in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        assert_equal(getattr(found, part), getattr(expected, part), part)


class GGMLQuantizationType(IntEnum):
    F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K = 0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14
    IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS, IQ1_M, BF16 = 16, 17, 18, 19, 20, 21, 22, 23, 29, 30


# values of a block, bytes of a block, where its scales (float16) are
BLOCKS = {"Q4_0": (32, 18, [0]), "Q4_1": (32, 20, [0, 2]), "Q5_0": (32, 22, [0]), "Q5_1": (32, 24, [0, 2]), "Q8_0": (32, 34, [0]),
          "Q2_K": (256, 84, [80, 82]), "Q3_K": (256, 110, [108]), "Q4_K": (256, 144, [0, 2]), "Q5_K": (256, 176, [0, 2]), "Q6_K": (256, 210, [208])}


def gguf_functions():
    """diffusers' functions ask the package gguf for its constants alone."""
    module = types.ModuleType("gguf")
    module.GGMLQuantizationType = GGMLQuantizationType
    module.GGML_QUANT_SIZES = {GGMLQuantizationType[name]: sizes[:2] for name, sizes in BLOCKS.items()}
    sys.modules["gguf"] = module
    from diffusers.quantizers.gguf import utils as functions
    return functions


def random_blocks(name, count, generator):
    _, size, scales = BLOCKS[name]
    blocks = generator.integers(0, 256, (count, size), dtype=numpy.uint8)
    for at in scales:
        halves = (generator.standard_normal(count) * 0.01).astype(numpy.float16)
        blocks[:, at:at + 2] = halves.view(numpy.uint8).reshape(count, 2)
    return torch.from_numpy(blocks)


def decode(name, blocks, functions):
    values, size, _ = BLOCKS[name]
    return getattr(functions, f"dequantize_blocks_{name}")(blocks, values, size, dtype=torch.float32).float().reshape(-1)


def make_blocks(functions):
    generator = numpy.random.default_rng(5)
    tensors = {}
    for name in BLOCKS:
        blocks = random_blocks(name, 12, generator)
        tensors[f"{name}.stored"], tensors[f"{name}.values"] = blocks.reshape(-1), decode(name, blocks, functions)
    for name, dtype in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        stored = torch.arange(256, dtype=torch.uint8)
        tensors[f"{name}.stored"], tensors[f"{name}.values"] = stored, stored.view(dtype).float()
    save_file(contiguous(tensors), SINGLE / "blocks.safetensors")


def write_gguf(path, tensors, architecture):
    """tensors: by name (type, shape as PyTorch has it, bytes)."""
    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 3) + text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    header += text("general.quantization_version") + struct.pack("<II", 4, 2)
    header += text("some.list") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    offset, data = 0, b""
    for name, (kind, shape, content) in tensors.items():
        header += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        header += struct.pack("<IQ", int(GGMLQuantizationType[kind]), offset)
        data += content + bytes(-len(content) % 32)
        offset = len(data)
    path.write_bytes(header + bytes(-len(header) % 32) + data)


def make_gguf(functions):
    """Where rows are whole blocks they are in blocks, as the people who make such files have them; vectors are float32."""
    generator = numpy.random.default_rng(6)
    stored, values = {}, {}
    kinds = ["Q8_0", "Q5_1"]
    turns, halves = itertools.cycle(kinds), itertools.cycle(("F16", "BF16"))
    for name, tensor in flux_tensors(weights(HERE / "models" / "tiny-flux" / "transformer"), prefix="").items():
        kind = "F32" if tensor.dim() == 1 else next(turns) if tensor.shape[1] % 32 == 0 else next(halves)
        if kind in BLOCKS:
            blocks = random_blocks(kind, tensor.numel() // 32, generator)
            content, value = blocks.numpy().tobytes(), decode(kind, blocks, functions).reshape(tensor.shape)
        else:
            value = tensor.to({"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]).contiguous()
            content = value.view(torch.uint8).numpy().tobytes()
        stored[name], values[name] = (kind, tuple(tensor.shape), content), value.float()
    assert {kind for kind, _, _ in stored.values()} == {"F32", "F16", "BF16", *kinds}
    write_gguf(SINGLE / "flux.gguf", stored, "flux")
    save_file(contiguous(values), SINGLE / "flux-gguf-values.safetensors")

    names = {"shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "SelfAttention.relative_attention_bias": "attn_rel_b",
             "layer.0.layer_norm": "attn_norm", "layer.1.layer_norm": "ffn_norm", "DenseReluDense.wi_0": "ffn_gate", "DenseReluDense.wi_1": "ffn_up",
             "DenseReluDense.wo": "ffn_down", **{f"SelfAttention.{p}": f"attn_{p}" for p in "qkvo"}}
    stored = {}
    for name, tensor in weights(HERE / "models" / "tiny-flux" / "text_encoder_2").items():
        module = name.removesuffix(".weight")
        block = re.match(r"encoder\.block\.(\d+)\.", module)
        short = next(new for old, new in names.items() if module.endswith(old))
        kind = torch.float32 if tensor.dim() == 1 else torch.float16
        stored[f"enc.blk.{block[1]}.{short}.weight" if block else f"{short}.weight"] = (
            "F32" if tensor.dim() == 1 else "F16", tuple(tensor.shape), tensor.to(kind).contiguous().view(torch.uint8).numpy().tobytes())
    write_gguf(SINGLE / "t5.gguf", stored, "t5encoder")


def make_fp8():
    """ComfyUI's scaled 8-bit floats: of a layer the weight, its scale, and one for its inputs that is not for the weight."""
    stored, values = {}, {}
    for name, tensor in flux_tensors(weights(HERE / "models" / "tiny-flux" / "transformer")).items():
        stored[name], values[name] = tensor, tensor.float()
        if name.endswith(".weight") and tensor.dim() == 2 and "_in." not in name:
            dtype = torch.float8_e5m2 if "img_mlp" in name else torch.float8_e4m3fn
            if "mod.lin" in name:
                stored[name] = tensor.to(dtype)
                values[name] = stored[name].float()
                continue
            scale = tensor.float().abs().max() / torch.finfo(dtype).max
            stored[name] = (tensor.float() / scale).to(dtype)
            stored[name.replace(".weight", ".scale_weight")] = scale
            stored[name.replace(".weight", ".scale_input")] = torch.tensor(1.0)
            values[name] = stored[name].float() * scale
    stored["model.diffusion_model.scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    save_file(contiguous(stored), SINGLE / "flux-fp8.safetensors")
    save_file(contiguous(values), SINGLE / "flux-fp8-values.safetensors")


def make_names(manifests):
    """Names and shapes of SDXL base and of FLUX.1 dev, from those of diffusers' folders."""
    def read(name):
        json_ = json.loads((manifests / f"{name}.json").read_text())
        return json_["config"], {n: torch.empty(shape, dtype=torch.float16, device="meta") for n, shape in json_["shapes"].items()}

    def check(converted, expected, what):
        found, expected = ({n: tuple(v.shape) for n, v in s.items()} for s in (converted, expected))
        assert found == expected, (what, set(found.items()) ^ set(expected.items()))

    unet, vae, encoder, encoder_2 = (read(f"sdxl-{part}") for part in ("unet", "vae", "text-encoder", "text-encoder-2"))
    sdxl = {**unet_tensors(unet[1], unet[0]["layers_per_block"]), **vae_tensors(vae[1], "first_stage_model."),
            **{f"conditioner.embedders.0.transformer.{n}": v for n, v in text_model(encoder[1]).items()}, **open_clip_tensors(encoder_2[1])}
    check(utils.convert_ldm_unet_checkpoint(dict(sdxl), {**unet[0], "num_class_embeds": None}), unet[1], "unet")
    check(utils.convert_ldm_vae_checkpoint(dict(sdxl), vae[0]), vae[1], "vae")
    with torch.device("meta"):
        model = CLIPTextModelWithProjection(CLIPTextConfig(**{k: v for k, v in encoder_2[0].items() if k in ("hidden_size", "projection_dim")},
                                                           num_hidden_layers=1, num_attention_heads=20))
    check(utils.convert_open_clip_checkpoint(model, dict(sdxl), "conditioner.embedders.1.model."), text_model(encoder_2[1]), "text_encoder_2")

    transformer = read("flux-dev-transformer")
    flux = flux_tensors(transformer[1])
    fit_flux_converter(3072)
    check(utils.convert_flux_transformer_checkpoint_to_diffusers(dict(flux)), transformer[1], "transformer")
    flux |= {**vae_tensors(read("flux-vae")[1], "vae."),
             **{f"text_encoders.clip_l.transformer.{n}": v for n, v in text_model(encoder[1]).items()},
             **{f"text_encoders.t5xxl.transformer.{n}": v for n, v in read("t5-xxl-encoder")[1].items()}}
    for name, tensors in (("sdxl", sdxl), ("flux-dev", flux)):
        text = json.dumps({n: list(v.shape) for n, v in sorted(tensors.items())}, separators=(",", ":"))
        (SINGLE / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    torch.manual_seed(0)
    SINGLE.mkdir(exist_ok=True)
    make_sdxl()
    make_flux()
    functions = gguf_functions()
    make_blocks(functions)
    make_gguf(functions)
    make_fp8()
    if len(sys.argv) > 1:
        make_names(Path(sys.argv[1]))
    print("\n".join(f"{path.name} {path.stat().st_size}" for path in sorted(SINGLE.iterdir())))
