"""Makes `prompts/inversion.safetensors` and `prompts/inversion-values.safetensors`: a textual inversion of three vectors for the small SDXL model, and what
the text encoders give for a prompt with it where diffusers has loaded it (`load_textual_inversion`).

    OMP_NUM_THREADS=1 python make_inversions.py     # needs torch, diffusers 0.42, transformers 5

The small model's configs say, as SDXL's do, that the largest id ends a text (eos_token_id 2), where transformers takes an added token for the end. So the
end token is named before: the pooled text is that of the end token.
"""
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
TOKEN = "<fox-toy>"
PROMPT = "a photo of a <fox-toy> in the snow, <fox-toy>"


@torch.no_grad()
def main():
    pipeline = StableDiffusionXLPipeline.from_pretrained(HERE / "models" / "tiny-sdxl")
    generator = torch.Generator().manual_seed(3)
    widths = [pipeline.text_encoder.config.hidden_size, pipeline.text_encoder_2.config.hidden_size]
    vectors = {name: torch.randn(3, width, generator=generator).half() for name, width in zip(("clip_l", "clip_g"), widths)}
    save_file(vectors, HERE / "prompts" / "inversion.safetensors")
    values = {}
    parts = ((pipeline.tokenizer, pipeline.text_encoder, "clip_l", ""), (pipeline.tokenizer_2, pipeline.text_encoder_2, "clip_g", "_2"))
    for tokenizer, encoder, name, suffix in parts:
        pipeline.load_textual_inversion({TOKEN: load_file(HERE / "prompts" / "inversion.safetensors")[name].float()}, token=TOKEN,
                                        text_encoder=encoder, tokenizer=tokenizer)
        for module in encoder.modules():
            if hasattr(module, "eos_token_id"):
                module.eos_token_id = tokenizer.eos_token_id
        encoder.config.eos_token_id = tokenizer.eos_token_id
        text = pipeline.maybe_convert_prompt(PROMPT, tokenizer)
        ids = tokenizer(text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt").input_ids
        out = encoder(ids, output_hidden_states=True)
        values |= {f"ids{suffix}": ids, f"hidden{suffix}": out.hidden_states[-2].contiguous(), f"pooled{suffix}": out[0].contiguous()}
        print(text, ids[0, :30].tolist(), encoder.get_input_embeddings().weight.shape)
    save_file(values, HERE / "prompts" / "inversion-values.safetensors")


main()
