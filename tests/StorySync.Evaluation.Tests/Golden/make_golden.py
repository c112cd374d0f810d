"""Takes the measures of four images with transformers' CLIPModel, PyTorch and Pillow, for MeasureGoldenTests.

    python make_golden.py <models/storybook>          # needs torch, transformers, pillow; writes measures.json beside this script

Images are the model's goldens, masks are made below. Nothing of StorySync is used.
"""

import hashlib
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Reference"))
import precision  # noqa: E402

root = Path(sys.argv[1])
model = CLIPModel.from_pretrained(root / "clip", dtype=torch.float32).eval()
tokenizer = CLIPTokenizer.from_pretrained(root / "tokenizer_2")
size = model.config.vision_config.image_size
processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})

index = json.loads((root / "goldens" / "index.json").read_text())
images = [Image.open(root / "goldens" / entry["png"]).convert("RGB") for entry in index]
prompts = [entry["prompt"] for entry in index]

# An ellipse, a bar that leans, two parts of which one touches the border, a box.
ys, xs = np.mgrid[0:16, 0:16]
masks = [
    ((xs - 7.5) / 4) ** 2 + ((ys - 8.5) / 6) ** 2 < 1,
    abs(xs - ys / 2 - 4) < 3,
    ((xs < 3) & (ys > 9)) | ((xs > 8) & (ys < 12) & (ys > 4)),
    (xs > 5) & (xs < 12) & (ys > 2),
]


def pixels(mask, image):
    """The mask at the image's size, each cell a rectangle."""
    height, width = image.height, image.width
    return mask[np.arange(height) * mask.shape[0] // height][:, np.arange(width) * mask.shape[1] // width]


def box(mask, image):
    """The square around the mask."""
    inside = np.argwhere(pixels(mask, image))
    (top, left), (bottom, right) = inside.min(0), inside.max(0) + 1
    side = max(bottom - top, right - left)
    x = min(max((left + right - side) // 2, 0), image.width - side)
    y = min(max((top + bottom - side) // 2, 0), image.height - side)
    return tuple(int(v) for v in (x, y, x + side, y + side))


def without_background(image, mask):
    gray = Image.new("RGB", image.size, (128, 128, 128))
    gray.paste(image, mask=Image.fromarray(pixels(mask, image).astype(np.uint8) * 255))
    return gray


def pixel_values(images):
    return processor(images=images, return_tensors="pt")["pixel_values"].to(torch.get_default_dtype())


def features(images):
    values = pixel_values(images)
    return torch.nn.functional.normalize(model.visual_projection(model.vision_model(values).pooler_output), dim=-1)


def patches(images):
    values = pixel_values(images)
    return torch.nn.functional.normalize(model.vision_model(values).last_hidden_state[:, 1:], dim=-1)


def texts(strings):
    length = model.config.text_config.max_position_embeddings
    ids = tokenizer(strings, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    return torch.nn.functional.normalize(model.text_projection(model.text_model(ids).pooler_output), dim=-1)


def pairwise(items, measure):
    return float(np.mean([float(measure(a, b)) for a, b in itertools.combinations(items, 2)]))


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a, b, dim=0)


def matched(a, b):
    similarity = a @ b.T
    return (similarity.max(1).values.mean() + similarity.max(0).values.mean()) / 2


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@torch.no_grad()
def measures():
    side = size // model.config.vision_config.patch_size
    covered = [torch.nn.functional.adaptive_avg_pool2d(torch.tensor(m)[None].double(), side).flatten() for m in masks]
    inside = [p[c >= 0.5] for p, c in zip(patches(images), covered)]
    clip_t = torch.nn.functional.cosine_similarity(features(images), texts(prompts))
    crops = [image.crop(box(mask, image)) for image, mask in zip(images, masks)]
    subjects = [without_background(image, mask).crop(box(mask, image)) for image, mask in zip(images, masks)]
    return {
        "cosines": [float(c) for c in clip_t],
        "clip_t": float((2.5 * clip_t.clamp(min=0)).mean()),
        "clip_t_cosine": float(clip_t.mean()),
        "clip_i_image": pairwise(features(images), cosine),
        "clip_i_crop": pairwise(features(crops), cosine),
        "clip_i": pairwise(features(subjects), cosine),
        "patches": pairwise(inside, matched),
    }


plain = measures()
with precision.float64(model):
    wide = measures()
with precision.other_kernels():
    other = measures()
colors = [np.asarray(image, dtype=np.float64)[pixels(mask, image)].mean(0) for image, mask in zip(images, masks)]
golden = {
    "weights_sha256": hashlib.sha256((root / "clip" / "model.safetensors").read_bytes()).hexdigest(),
    "images": [entry["png"] for entry in index],
    "prompts": prompts,
    "masks": [["".join("#" if cell else "." for cell in row) for row in mask] for mask in masks],
    **plain,
    "colors": [[float(v) for v in color] for color in colors],
    "color": pairwise(colors, lambda a, b: np.linalg.norm(a - b)),
    "ious": [float(iou(a, b)) for a, b in itertools.combinations(masks, 2)],
    "layout": pairwise(masks, lambda a, b: 1 - iou(a, b)),
    "area": float(np.mean([mask.mean() for mask in masks])),
    # Of the measures that CLIP takes, means of cosines all of them; the others are sums of whole numbers.
    "tolerance": max(precision.tolerance(*[torch.tensor(run[key], dtype=torch.float64) for run in (plain, wide, other)]) for key in plain),
}

(Path(__file__).parent / "measures.json").write_text(json.dumps(golden, indent=1) + "\n")
