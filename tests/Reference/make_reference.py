"""Makes the reference data in this folder: small models with random weights, and what diffusers and transformers compute with them.

    OMP_NUM_THREADS=1 python make_reference.py          # needs torch, diffusers 0.42, transformers 5, sentencepiece

`index.json` lists the cases: inputs (in.*), outputs (out.*) and how far an answer may lie from each (precision.py). Weights are numbers of float16,
so that files of half the size hold them exactly, where that is done. Weights, inputs and noise come from NumPy's generator and are the same on every machine.
"""
import io
import json
import shutil
import sys
import zlib
from pathlib import Path

import numpy
import torch
from diffusers import (AutoencoderKL, DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FluxInpaintPipeline, FluxPipeline,
                       FluxTransformer2DModel, Kandinsky3Img2ImgPipeline, Kandinsky3Pipeline, Kandinsky3UNet, StableDiffusionXLPipeline,
                       UNet2DConditionModel, VQModel)
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer)

import precision

HERE = Path(__file__).resolve().parent
PROMPTS = ["a red fox in the snow", "the owl reads a book by candlelight"]
NEGATIVES = ["blurry", "low quality, a red book"]
WORDS = "a the in by red fox owl snow book reads blurry low quality candle light forest".split()
ENDS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}      # as in all released configs, whatever the vocabulary says


def normal(label, shape):
    """Standard normals that depend on the label alone."""
    return torch.from_numpy(numpy.random.default_rng(zlib.crc32(label.encode())).standard_normal(tuple(shape), dtype=numpy.float32))


# Models

def randomise(model, label, gains=()):
    """Draws all weights, so that each of them matters; a gain scales those whose name contains its text."""
    drawn = set()
    with torch.no_grad():
        for path, module in model.eval().named_modules():
            for name, weight in module.named_parameters(recurse=False):
                if id(weight) in drawn:
                    continue
                drawn.add(id(weight))
                full = f"{path}.{name}"
                value = normal(f"{label}/{full}", weight.shape)
                if "norm" in type(module).__name__.lower():
                    value = 0.2 * value + (name == "weight")
                elif name == "bias":
                    value = 0.1 * value
                elif not isinstance(module, torch.nn.Embedding):
                    value = value / weight[0].numel() ** 0.5
                for text, gain in gains:
                    value = value * gain if text in full else value
                weight.copy_(value.half())
    return model


def clip_tokenizer(folder, pad):
    """Merges of each word from left to right: a vocabulary in CLIP's layout."""
    order = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(code) for code in order] + [chr(256 + i) for i in range(256 - len(order))]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
            parts[:2] = [parts[0] + parts[1]]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges), encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": pad, "unk_token": "<|endoftext|>"}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", **special})
    return CLIPTokenizer.from_pretrained(folder), len(tokens)


def t5_tokenizer(folder, max_length):
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*PROMPTS, *NEGATIVES, *WORDS] * 3), model_writer=model, model_type="unigram", vocab_size=40, pad_id=0, eos_id=1, unk_id=2,
        bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", character_coverage=1.0, normalization_rule_name="identity",
        num_threads=1, minloglevel=2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(model.getvalue())
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "additional_special_tokens": [f"<extra_id_{i}>" for i in range(100)]}
    write_json(folder / "special_tokens_map.json", names)
    write_json(folder / "tokenizer_config.json", {"model_max_length": max_length, "tokenizer_class": "T5Tokenizer", "extra_ids": 100, "legacy": True, **names})
    return T5Tokenizer.from_pretrained(folder)


def clip(label, vocabulary, cls=CLIPTextModel, **config):
    return randomise(cls(CLIPTextConfig(vocab_size=vocabulary, max_position_embeddings=77, **ENDS, **config)), label, [("embedding", 0.3)])


def t5(label, **config):
    return randomise(T5EncoderModel(T5Config(
        vocab_size=148, feed_forward_proj="gated-gelu", dropout_rate=0.0, num_decoder_layers=1, **config)), label)


def sdxl(folder):
    one, vocabulary = clip_tokenizer(folder / "tokenizer", "<|endoftext|>")
    two, _ = clip_tokenizer(folder / "tokenizer_2", "!")
    return StableDiffusionXLPipeline(
        unet=randomise(UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), layers_per_block=1, attention_head_dim=(1, 2), transformer_layers_per_block=(1, 2),
            cross_attention_dim=20, norm_num_groups=4, use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=24 + 10), "sdxl/unet"),
        vae=randomise(AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=(4, 8, 8), layers_per_block=1,
            norm_num_groups=2, sample_size=32, scaling_factor=0.2), "sdxl/vae", [("decoder.conv_out", 0.3)]),
        text_encoder=clip("sdxl/text_encoder", vocabulary, hidden_size=8, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
                          projection_dim=8, hidden_act="quick_gelu"),
        text_encoder_2=clip("sdxl/text_encoder_2", vocabulary, CLIPTextModelWithProjection, hidden_size=12, intermediate_size=24, num_hidden_layers=3,
                            num_attention_heads=3, projection_dim=10, hidden_act="gelu"),
        tokenizer=one, tokenizer_2=two,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True, add_watermarker=False)


def kandinsky3(folder):
    return Kandinsky3Pipeline(
        unet=randomise(Kandinsky3UNet(
            time_embedding_dim=16, groups=4, attention_head_dim=8, layers_per_block=2, block_out_channels=(16, 16, 24, 24), cross_attention_dim=16,
            encoder_hid_dim=12), "kandinsky3/unet"),
        movq=randomise(VQModel(
            down_block_types=("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",), up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3,
            block_out_channels=(32,) * 4, layers_per_block=1, latent_channels=4, vq_embed_dim=4, norm_num_groups=8, num_vq_embeddings=16, sample_size=32,
            norm_type="spatial"), "kandinsky3/movq", [("decoder.conv_out", 0.1)]),
        text_encoder=t5("kandinsky3/text_encoder", d_model=12, d_kv=5, d_ff=20, num_layers=2, num_heads=2),
        tokenizer=t5_tokenizer(folder / "tokenizer", 512),
        scheduler=DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="squaredcos_cap_v2", clip_sample=True, steps_offset=1,
                                timestep_spacing="leading"))


def flux_transformer(label, **config):
    return randomise(FluxTransformer2DModel(
        in_channels=16, num_attention_heads=2, attention_head_dim=8, axes_dims_rope=(2, 2, 4), joint_attention_dim=16, pooled_projection_dim=12, **config), label)


def flux(folder):
    one, vocabulary = clip_tokenizer(folder / "tokenizer", "<|endoftext|>")
    return FluxPipeline(
        transformer=flux_transformer("flux/transformer", num_layers=1, num_single_layers=2, guidance_embeds=False),
        vae=randomise(AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=(4, 8, 8), layers_per_block=1,
            norm_num_groups=4, latent_channels=4, sample_size=32, scaling_factor=0.5, shift_factor=0.2, use_quant_conv=False,
            use_post_quant_conv=False), "flux/vae", [("decoder.conv_out", 0.3)]),
        text_encoder=clip("flux/text_encoder", vocabulary, hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
                          projection_dim=12, hidden_act="quick_gelu"),
        text_encoder_2=t5("flux/text_encoder_2", d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=3),
        tokenizer=one, tokenizer_2=t5_tokenizer(folder / "tokenizer_2", 48),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0))


# Cases

class Index:
    def __init__(self):
        self.cases = []

    def add(self, name, group, model, call, run, inputs, modules, params=None, files=None, draws=None):
        with torch.no_grad():
            plain = run(inputs)
            with precision.float64(*modules):
                wide = run(precision.wider(inputs))
            with precision.other_kernels():
                other = run(inputs)
        inputs = {f"in.{key}": value for key, value in {**inputs, **(draws or {})}.items()}
        outputs = {f"out.{key}": value for key, value in plain.items()}
        file = Path("cases") / f"{name}.safetensors"
        save_file({key: value.contiguous().clone() for key, value in {**inputs, **outputs}.items()}, HERE / file)
        self.cases.append({
            "name": name, "group": group, "model": model, "file": file.as_posix(), "call": call, "params": params or {}, "files": files or {},
            "inputs": {key: {"shape": list(value.shape)} for key, value in inputs.items()},
            "outputs": {f"out.{key}": {"shape": list(value.shape), "tolerance": precision.tolerance(value, wide[key], other[key])}
                        for key, value in plain.items()}})
        print(f"{name}: " + ", ".join(f"{key} {value['tolerance']}" for key, value in self.cases[-1]["outputs"].items()))
        return plain


def text(index, name, model, encoder, tokenizer, length, masked=False):
    found = tokenizer(PROMPTS, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    inputs = {"input_ids": found.input_ids, **({"attention_mask": found.attention_mask} if masked else {})}

    def run(given):
        if isinstance(encoder, T5EncoderModel):
            return {"last_hidden_state": encoder(given["input_ids"], attention_mask=given.get("attention_mask")).last_hidden_state}
        answer = encoder(given["input_ids"], output_hidden_states=True)
        pooled = "text_embeds" if hasattr(answer, "text_embeds") else "pooler_output"
        return {**{f"hidden_states.{i}": state for i, state in enumerate(answer.hidden_states)}, "last_hidden_state": answer.last_hidden_state,
                pooled: getattr(answer, pooled)}

    index.add(f"small-text-{name}", "text", model, f"transformers.{type(encoder).__name__}(input_ids)", run, inputs, [encoder])


def denoisers(index, pipes, dev):
    unet = pipes["sdxl"].unet
    for name, batch, size, mask in (("square", 2, (8, 8), False), ("odd", 1, (7, 5), True)):
        inputs = {"sample": normal(name, (batch, 4, *size)), "timestep": torch.tensor(741.0), "encoder_hidden_states": normal(name + "/text", (batch, 9, 20)),
                  "text_embeds": normal(name + "/pooled", (batch, 10)), "time_ids": torch.tensor([[32.0, 32, 0, 0, 32, 32]] * batch)}
        if mask:
            inputs["encoder_attention_mask"] = torch.tensor([[1] * 6 + [0] * 3])
        index.add(f"small-sdxl-unet-{name}", "sdxl-unet", "models/tiny-sdxl/unet", "diffusers.UNet2DConditionModel(…)", lambda x: {"sample": unet(
            x["sample"], x["timestep"], x["encoder_hidden_states"], encoder_attention_mask=x.get("encoder_attention_mask"),
            added_cond_kwargs={"text_embeds": x["text_embeds"], "time_ids": x["time_ids"]}).sample}, inputs, [unet])
    k3 = pipes["kandinsky3"].unet
    for name, batch, size in (("square", 1, (8, 8)), ("wide", 2, (8, 16))):
        inputs = {"sample": normal("k3" + name, (batch, 4, *size)), "timestep": torch.tensor(801), "encoder_hidden_states": normal("k3/text", (batch, 7, 12)),
                  "encoder_attention_mask": torch.tensor([[1] * 7, [1] * 4 + [0] * 3][:batch])}
        index.add(f"small-kandinsky3-unet-{name}", "kandinsky3-unet", "models/tiny-kandinsky3/unet", "diffusers.Kandinsky3UNet(…)", lambda x: {"sample": k3(
            x["sample"], x["timestep"], x["encoder_hidden_states"], x["encoder_attention_mask"]).sample}, inputs, [k3])
    for name, transformer, guidance in (("flux", pipes["flux"].transformer, None), ("flux-dev", dev, 3.5)):
        latents = normal(name, (2, 4, 6, 4))
        packed = latents.view(2, 4, 3, 2, 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(2, 6, 16)
        rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(2.0), indexing="ij")
        inputs = {"latents": latents, "hidden_states": packed, "timestep": torch.tensor([0.75, 0.75]), "pooled_projections": normal(name + "/pooled", (2, 12)),
                  "encoder_hidden_states": normal(name + "/text", (2, 10, 16)), "txt_ids": torch.zeros(10, 3),
                  "img_ids": torch.stack([torch.zeros(3, 2), rows, columns], -1).reshape(6, 3)}
        if guidance:
            inputs["guidance"] = torch.tensor([guidance, guidance])
        index.add(f"small-{name}-transformer", "flux-transformer", f"models/tiny-{name}/transformer", "diffusers.FluxTransformer2DModel(…)", lambda x: {
            "sample": transformer(**{key: value for key, value in x.items() if key != "latents"}).sample}, inputs, [transformer])


def autoencoders(index, pipes):
    image = normal("image", (2, 3, 24, 16)).clamp(-1, 1)
    for name in ("sdxl", "flux"):
        vae = pipes[name].vae
        shift, latents = vae.config.shift_factor or 0.0, normal(name + "/latents", (2, 4, 6, 4))

        def encode(x):
            posterior = vae.encode(x["image"]).latent_dist
            sample = posterior.mean + posterior.std * x["noise"]
            return {"mean": posterior.mean, "logvar": posterior.logvar, "sample": sample, "latents": (sample - shift) * vae.config.scaling_factor}

        index.add(f"small-vae-{name}-encode", "vae", f"models/tiny-{name}/vae", "diffusers.AutoencoderKL.encode(image).latent_dist", encode,
                  {"image": image, "noise": normal(name + "/noise", (2, 4, 6, 4))}, [vae])
        index.add(f"small-vae-{name}-decode", "vae", f"models/tiny-{name}/vae",
                  "diffusers.AutoencoderKL.decode(latents / scaling_factor + shift_factor).sample",
                  lambda x: {"image": vae.decode(x["latents"] / vae.config.scaling_factor + shift).sample}, {"latents": latents}, [vae])
    movq, latents = pipes["kandinsky3"].movq, normal("movq/latents", (1, 4, 3, 2))
    index.add("small-vae-movq-encode", "vae", "models/tiny-kandinsky3/movq", "diffusers.VQModel.encode(image).latents",
              lambda x: {"latents": movq.encode(x["image"]).latents}, {"image": image[:1]}, [movq])
    index.add("small-vae-movq-decode", "vae", "models/tiny-kandinsky3/movq", "diffusers.VQModel.decode(latents, force_not_quantize=True).sample",
              lambda x: {"image": movq.decode(x["latents"], force_not_quantize=True).sample}, {"latents": latents}, [movq])

    def quantized(x):
        codes, _, (_, _, indices) = movq.quantize(x["latents"])
        return {"image": movq.decode(x["latents"]).sample, "quantized": codes, "indices": indices}

    index.add("small-vae-movq-decode-quantized", "vae", "models/tiny-kandinsky3/movq", "diffusers.VQModel.decode(latents).sample", quantized,
              {"latents": latents}, [movq])


class Tape:
    """Takes the place of diffusers' randn_tensor: the draws of each run are the same."""

    def __init__(self, label):
        self.label, self.draws, self.count = label, {}, 0

    def __call__(self, shape, generator=None, device=None, dtype=None, layout=None):
        name = f"noise.{self.count}"
        self.count += 1
        draw = self.draws.setdefault(name, normal(f"{self.label}/{name}", shape).float())
        return draw.to(torch.get_default_dtype())

    def start(self):
        self.count = 0
        for key, module in list(sys.modules.items()):
            if key.startswith("diffusers.") and hasattr(module, "randn_tensor"):
                module.randn_tensor = self


class LatentPainting(Kandinsky3Img2ImgPipeline):
    """diffusers has no inpainting for Kandinsky 3: its image to image, with SDXL's and FLUX's rule on the latents after each step."""

    def __call__(self, *, mask_image, callback_on_step_end, **arguments):
        start, add_noise = {}, self.scheduler.add_noise
        processor = VaeImageProcessor(vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True)
        mask = torch.nn.functional.interpolate(processor.preprocess(mask_image), size=[side // 8 for side in mask_image.size[::-1]])

        def keep(latents, noise, timesteps):
            start.setdefault("latents", (latents, noise))
            return add_noise(latents, noise, timesteps)

        def paint(pipe, step, timestep, values):
            kept, noise = start["latents"]
            following = self.scheduler.timesteps[self.scheduler.timesteps < timestep]
            if len(following):
                kept = add_noise(kept, noise, following[:1])
            values["latents"] = (1 - mask) * kept + mask * values["latents"]
            callback_on_step_end(pipe, step, timestep, values)
            return {"latents": values["latents"]}

        self.scheduler.add_noise = keep
        return super().__call__(callback_on_step_end=paint, **arguments)


def pictures(label, width, height):
    """A picture and a mask whose grays lie on both sides of one half, as files' pixels."""
    rows, columns = numpy.mgrid[:height, :width]
    waves = [128 + 100 * numpy.sin(rows / (3 + i) + columns / (5 - i) + i) for i in range(3)]
    edge = 255 * ((columns - 0.55 * width) ** 2 + (rows - 0.4 * height) ** 2 < (0.36 * height) ** 2) * (0.35 + 0.65 * columns / width)
    mask = numpy.stack([edge, 0.8 * edge, edge], -1)
    made = {"input_image": numpy.stack(waves, -1), "mask_image": mask}
    files = {name: f"cases/{label}-{name}.png" for name in made}
    for name, pixels in made.items():
        Image.fromarray(pixels.astype(numpy.uint8)).save(HERE / files[name])
    return files, {"image": Image.open(HERE / files["input_image"]), "mask_image": Image.open(HERE / files["mask_image"])}


def pipeline(index, name, model, pipe, denoiser, latents=None, output_type="pt", size=None, **arguments):
    """One call: the denoiser's answers, the latents after every step, the image; and the image as a file."""
    pipe.set_progress_bar_config(disable=True)
    tape = Tape(name)
    given_files, pictured = pictures(name, *size) if size else ({}, {})

    def run(given):
        answers, steps, timesteps = [], [], []
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
        hook = denoiser.register_forward_hook(lambda m, a, k, out: answers.append(out[0].clone()), with_kwargs=True)
        tape.start()

        def on_step(_, __, timestep, values):
            steps.append(values["latents"].clone())
            timesteps.append(timestep.clone())
            return {}

        try:
            image = pipe(**arguments, **pictured, **given, output_type=output_type, callback_on_step_end=on_step).images
        finally:
            hook.remove()
        if not torch.is_tensor(image):
            image = torch.from_numpy(numpy.asarray(image)).permute(0, 3, 1, 2)
        return {"denoiser_outputs": torch.stack(answers), "timesteps": torch.stack(timesteps), "latents_after_step": torch.stack(steps), "image": image}

    count = len(arguments["prompt"])
    files = {**given_files, **{f"image.{i}": f"cases/{name}-{i}.png" for i in range(count)}}
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    modules = [m for m in {**pipe.components, "denoiser": denoiser}.values() if isinstance(m, torch.nn.Module)]
    found = index.add(name, "pipeline", model, f"diffusers.{type(pipe).__bases__[0].__name__ if type(pipe) is LatentPainting else type(pipe).__name__}(prompt, …)", run, {} if latents is None else {"latents": latents}, modules,
                      files=files, draws=tape.draws,
                      params={"scheduler": type(pipe.scheduler).__name__, "scheduler_config": config, **arguments})
    for i, image in enumerate(found["image"]):
        pixels = (image.permute(1, 2, 0).clamp(0, 1).double() * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(HERE / files[f"image.{i}"])


def pipelines(index, pipes, dev):
    pipeline(index, "small-pipeline-sdxl", "models/tiny-sdxl", pipes["sdxl"], pipes["sdxl"].unet, normal("p/sdxl", (2, 4, 8, 6)), prompt=PROMPTS,
             negative_prompt=NEGATIVES, guidance_scale=4.0, num_inference_steps=4, height=32, width=24)
    pipeline(index, "small-pipeline-kandinsky3", "models/tiny-kandinsky3", pipes["kandinsky3"], pipes["kandinsky3"].unet, normal("p/k3", (1, 4, 8, 8)), "np",
             prompt=PROMPTS[:1], negative_prompt=NEGATIVES[1:], guidance_scale=2.0, num_inference_steps=3, height=64, width=64)
    pipeline(index, "small-pipeline-flux", "models/tiny-flux", pipes["flux"], pipes["flux"].transformer, normal("p/flux", (2, 20, 16)), prompt=PROMPTS,
             guidance_scale=0.0, num_inference_steps=4, height=40, width=32, max_sequence_length=48)
    guided = FluxPipeline(**{**pipes["flux"].components, "transformer": dev[0], "scheduler": dev[1]})
    pipeline(index, "small-pipeline-flux-dev", "models/tiny-flux-dev (transformer, scheduler) + models/tiny-flux (the rest)", guided, dev[0],
             normal("p/flux-dev", (1, 16, 16)), prompt=PROMPTS[1:], negative_prompt=NEGATIVES[:1], true_cfg_scale=2.0, guidance_scale=3.5,
             num_inference_steps=3, height=32, width=32, max_sequence_length=32)
    pipeline(index, "small-pipeline-flux-inpaint", "models/tiny-flux", FluxInpaintPipeline(**pipes["flux"].components), pipes["flux"].transformer,
             size=(44, 52), prompt=PROMPTS[:1], guidance_scale=0.0, num_inference_steps=4, strength=0.6, height=48, width=40, max_sequence_length=48)
    pipeline(index, "small-pipeline-flux-dev-inpaint", "models/tiny-flux-dev (transformer, scheduler) + models/tiny-flux (the rest)",
             FluxInpaintPipeline(**guided.components), dev[0], size=(40, 32), prompt=PROMPTS[1:], negative_prompt=NEGATIVES[:1], true_cfg_scale=2.0,
             guidance_scale=3.5, num_inference_steps=3, strength=1.0, height=32, width=40, max_sequence_length=32)
    pipeline(index, "small-pipeline-kandinsky3-inpaint", "models/tiny-kandinsky3", LatentPainting(**pipes["kandinsky3"].components),
             pipes["kandinsky3"].unet, output_type="np", size=(128, 64), prompt=PROMPTS[:1], negative_prompt=NEGATIVES[1:], guidance_scale=2.0,
             num_inference_steps=4, strength=0.8)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    torch.set_num_threads(1)
    for folder in ("models", "cases"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    (HERE / "cases").mkdir()
    models = HERE / "models"
    pipes = {name: make(models / f"tiny-{name}") for name, make in (("sdxl", sdxl), ("kandinsky3", kandinsky3), ("flux", flux))}
    dev = (flux_transformer("flux-dev/transformer", num_layers=2, num_single_layers=1, guidance_embeds=True),
           FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True))

    index = Index()
    text(index, "sdxl-text-encoder", "models/tiny-sdxl/text_encoder", pipes["sdxl"].text_encoder, pipes["sdxl"].tokenizer, 77)
    text(index, "sdxl-text-encoder-2", "models/tiny-sdxl/text_encoder_2", pipes["sdxl"].text_encoder_2, pipes["sdxl"].tokenizer_2, 77)
    text(index, "flux-text-encoder", "models/tiny-flux/text_encoder", pipes["flux"].text_encoder, pipes["flux"].tokenizer, 77)
    text(index, "flux-text-encoder-2", "models/tiny-flux/text_encoder_2", pipes["flux"].text_encoder_2, pipes["flux"].tokenizer_2, 24)
    text(index, "kandinsky3-text-encoder", "models/tiny-kandinsky3/text_encoder", pipes["kandinsky3"].text_encoder, pipes["kandinsky3"].tokenizer, 24, True)
    denoisers(index, pipes, dev[0])
    autoencoders(index, pipes)
    pipelines(index, pipes, dev)

    keep = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    for name, pipe in pipes.items():
        pipe.save_pretrained(models / f"tiny-{name}")
    for path in [path for path in models.rglob("tokenizer*/*") if path not in keep]:
        path.unlink()
    for path, content in keep.items():
        path.write_bytes(content)
    dev[0].save_pretrained(models / "tiny-flux-dev" / "transformer")
    dev[1].save_pretrained(models / "tiny-flux-dev" / "scheduler")
    # The weights of SDXL and Kandinsky 3 as halves, as their releases have them; those of FLUX as they are.
    for path in [path for path in models.rglob("*.safetensors") if "flux" not in path.parts[-3]]:
        save_file({key: value.half() for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
    write_json(HERE / "index.json", {"cases": index.cases})


main()
