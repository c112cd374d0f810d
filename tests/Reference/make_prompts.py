"""Makes `prompts/`: prompts of any length and with weights, as text encoders and a pipeline of diffusers see them, for the small SDXL model.

    OMP_NUM_THREADS=1 python make_prompts.py        # needs torch, diffusers 0.42, transformers 5

The rules are those of AUTOMATIC1111's web UI for the syntax, for BREAK, for padding and for the pooled text (that of the first chunk), and of diffusers'
community pipeline lpw_stable_diffusion_xl for what a weight does: e becomes n + w (e - n), where n is the state at the chunk's end token. Embeddings are
computed in float64.
"""
import json
import re
from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
LONG = ("a red fox with a bushy tail walks through a quiet forest in the snow, the old lighthouse keeper tells a story to a small bear and a tall "
        "robot, wooden house on a hill under a bright sky, oil painting, fine detail, soft warm light, thin clouds above the sea")
CASES = [
    {"name": "weights", "syntax": "Weighted", "prompt": r"a (red:1.4) fox in the [snow], \(soft light\), ((old)) house", "negative": "a (blurry) picture"},
    {"name": "nested", "syntax": "Weighted", "prompt": "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "negative": "[dark, (rain: 1.2 )]"},
    {"name": "no-words", "syntax": "Weighted", "prompt": "()", "negative": ""},
    {"name": "signs", "syntax": "Weighted", "prompt": r"ratio 3:4) fo\(x (a (tree:1.2.3)) end\\ of:1) [it", "negative": "(sea:0) (storm:-0.5)"},
    {"name": "long", "syntax": "Long", "prompt": LONG, "negative": "(text:1.3) is read as it stands"},
    {"name": "long-negative", "syntax": "Weighted", "prompt": "a (fox:1.2)", "negative": f"({LONG}:0.8), [dark]"},
    {"name": "break", "syntax": "Weighted", "prompt": "a fox BREAK in the (snow BREAK at dawn:1.3), oil painting", "negative": "dark"},
    {"name": "break-first", "syntax": "Weighted", "prompt": "BREAK a fox BREAK", "negative": None},
    {"name": "long-weights", "syntax": "Weighted", "prompt": f"({LONG[:200]}:1.25){LONG[200:]}, [a (fox:1.5) again]", "negative": "dark, [blurry]",
     "prompt_2": "a short one for the second", "clip_skip": 1},
]


def parse(text):
    """[text, weight, begins a chunk] of each piece."""
    pieces, round_open, square_open = [], [], []
    pattern = r"\\[\\()\[\]]|\\|\(|\[|\)|\]|:\s*[+-]?[.\d]+\s*\)|:|[^\\()\[\]:]+"

    def close(stack, factor):
        for piece in pieces[stack.pop():]:
            piece[1] *= factor

    def words(token):
        for i, part in enumerate(re.split(r"\s*\bBREAK\b\s*", token)):
            pieces.append([part, 1.0, i > 0])

    for token in re.findall(pattern, text):
        number = re.fullmatch(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)", token)
        if token[0] == "\\":
            pieces.append([token[1:], 1.0, False])
        elif token == "(":
            round_open.append(len(pieces))
        elif token == "[":
            square_open.append(len(pieces))
        elif number and round_open:
            close(round_open, float(number[1]))
        elif token == ")" and round_open:
            close(round_open, 1.1)
        elif token == "]" and square_open:
            close(square_open, 1 / 1.1)
        elif token[0] == ":" and token[-1] == ")" and round_open:
            words(token[:-1])
            close(round_open, 1.1)
        else:
            words(token)
    for stack, factor in ((round_open, 1.1), (square_open, 1 / 1.1)):
        while stack:
            close(stack, factor)
    joined = []
    for piece in pieces:
        if joined and joined[-1][1] == piece[1] and not piece[2]:
            joined[-1][0] += piece[0]
        else:
            joined.append(list(piece))
    return joined


def chunks(tokenizer, pieces):
    """For each chunk its token ids and weights, without begin and end."""
    room, done, ids, weights = tokenizer.model_max_length - 2, [], [], []
    for text, weight, begins in pieces:
        if begins:
            done, ids, weights = done + [(ids, weights)], [], []
        for token in tokenizer(text, add_special_tokens=False).input_ids:
            if len(ids) == room:
                done, ids, weights = done + [(ids, weights)], [], []
            ids, weights = ids + [token], weights + [weight]
    return done + [(ids, weights)] if ids or not done else done


def encode(tokenizer, encoder, rows, count, skip):
    states, pooled, all_ids = [], None, []
    for ids, weights in rows + [([], [])] * (count - len(rows)):
        end, length = len(ids) + 1, tokenizer.model_max_length
        full = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] + [tokenizer.pad_token_id] * (length - end - 1)
        out = encoder(torch.tensor([full]), output_hidden_states=True)
        hidden = out.hidden_states[-(skip + 2)][0].clone()
        for i, weight in enumerate(weights):
            if weight != 1:
                hidden[i + 1] = hidden[end] + (hidden[i + 1] - hidden[end]) * weight
        states.append(hidden)
        all_ids += full
        pooled = out[0] if pooled is None else pooled
    return torch.cat(states)[None], pooled, torch.tensor(all_ids)


def embed(pipeline, case):
    read = (lambda text: parse(text)) if case["syntax"] == "Weighted" else (lambda text: [[text, 1.0, False]])
    parts = ((pipeline.tokenizer, pipeline.text_encoder), (pipeline.tokenizer_2, pipeline.text_encoder_2))
    positive = [chunks(t, read(p)) for (t, _), p in zip(parts, (case["prompt"], case.get("prompt_2", case["prompt"])))]
    negative = [chunks(t, read(case["negative"] or "")) for t, _ in parts]
    count = max(map(len, positive + (negative if case["negative"] is not None else [])))
    results = {}
    for name, rows, skip in (("", positive, case.get("clip_skip", 0)), ("negative_", negative, 0)):
        both = [encode(t, e, r, count, skip) for (t, e), r in zip(parts, rows)]
        text, pooled = torch.cat([both[0][0], both[1][0]], dim=-1), both[1][1]
        if name and case["negative"] is None and pipeline.config.force_zeros_for_empty_prompt:
            text, pooled = torch.zeros_like(text), torch.zeros_like(pooled)
        results |= {f"{name}text": text, f"{name}pooled": pooled, f"{name}ids": both[0][2], f"{name}ids_2": both[1][2]}
    return results


@torch.no_grad()
def main():
    exact = StableDiffusionXLPipeline.from_pretrained(HERE / "models" / "tiny-sdxl", torch_dtype=torch.float64)
    pipeline = StableDiffusionXLPipeline.from_pretrained(HERE / "models" / "tiny-sdxl")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    tensors, described = {}, []
    for case in CASES:
        found = embed(exact, case)
        if case["name"] in ("break", "long-weights"):
            noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
            found["noise"] = noise
            embeds = {name: value.float() for name, value in found.items() if "ids" not in name}
            found["latents"] = pipeline(
                prompt_embeds=embeds["text"], pooled_prompt_embeds=embeds["pooled"], negative_prompt_embeds=embeds["negative_text"],
                negative_pooled_prompt_embeds=embeds["negative_pooled"], latents=noise, height=64, width=64, guidance_scale=4.0,
                num_inference_steps=3, output_type="latent").images
        tensors |= {f"{case['name']}.{key}": (value.float() if value.is_floating_point() else value).contiguous() for key, value in found.items()}
        described.append({**case, "pieces": parse(case["prompt"]) if case["syntax"] == "Weighted" else None})
    (HERE / "prompts").mkdir(exist_ok=True)
    save_file(tensors, HERE / "prompts" / "prompts.safetensors")
    (HERE / "prompts" / "prompts.json").write_text(json.dumps(described, indent=1) + "\n")
    print({name: tuple(value.shape) for name, value in tensors.items() if "text" in name or "latents" in name})


main()
