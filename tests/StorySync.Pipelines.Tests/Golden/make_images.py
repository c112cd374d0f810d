"""Makes images/ and images.safetensors: picture files of every kind, and what Pillow and diffusers' load_image see in them; and
resize.safetensors: what Pillow's Lanczos filter makes of noise.

    python make_images.py FOLDER

Needs numpy, Pillow and diffusers of the versions in the reference's README.
"""
import os
import struct
import sys
import textwrap
import zlib

import numpy as np
import torch
from diffusers.utils import load_image
from PIL import Image, ImageCms
from safetensors.torch import save_file

out = sys.argv[1]
folder = os.path.join(out, "images")
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(7)
H, W = 10, 14
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([x * 255 // (W - 1), y * 255 // (H - 1), (x + y) * 255 // (H + W - 2)], axis=2).astype(np.uint8)
noise = random.integers(0, 256, (H, W, 3), dtype=np.uint8)
alpha = (x * 255 // (W - 1)).astype(np.uint8)
rgb, gray = Image.fromarray(noise), Image.fromarray(noise[..., 0])


def save(name, image, **arguments):
    image.save(os.path.join(folder, name), **arguments)


def exif(orientation):
    result = Image.Exif()
    result[0x0112] = orientation
    return result


def swapped_profile():
    """sRGB's profile with red and blue exchanged: who applies it sees other colors."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")


for orientation in range(1, 9):
    save(f"exif{orientation}.png", rgb, exif=exif(orientation))
save("exif6.jpg", Image.fromarray(smooth), exif=exif(6), quality=95, subsampling=0)
save("exif7.webp", rgb, exif=exif(7), lossless=True)
save("exif3-big-endian.jpg", Image.fromarray(smooth), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0", quality=95,
     subsampling=0)
XMP = ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
       'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {0}</rdf:RDF></x:xmpmeta>')
ATTRIBUTE, ELEMENT = 'tiff:Orientation="8"/>', '><tiff:Orientation>5</tiff:Orientation></rdf:Description>'


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def insert(name, chunks):
    """Saves a PNG file with chunks after its header."""
    save(name, rgb)
    with open(os.path.join(folder, name), "rb") as file:
        png = file.read()
    with open(os.path.join(folder, name), "wb") as file:
        file.write(png[:33] + chunks + png[33:])


def tiff(order, kind, value):
    """EXIF data of an orientation alone, in either byte order, as a SHORT (3), LONG (4) or BYTE (1)."""
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], value)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


# Where the orientation stands in the XMP data, in ImageMagick's text, in another type, or is none.
lines = "".join(f"{line}\n" for line in textwrap.wrap((b"Exif\0\0" + tiff("<", 3, 6)).hex(), 72))
insert("raw-profile.png", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(f"\nexif\n{32:8}\n{lines}".encode())))
insert("xmp.png", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.format(ATTRIBUTE).encode()))
insert("exif1-xmp8.png", chunk(b"eXIf", tiff(">", 3, 1)) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.format(ATTRIBUTE).encode()))
insert("exif-long.png", chunk(b"eXIf", tiff(">", 4, 7)))
insert("exif-byte.png", chunk(b"eXIf", tiff("<", 1, 6)))
insert("exif0.png", chunk(b"eXIf", tiff("<", 3, 0)))
insert("exif9.png", chunk(b"eXIf", tiff(">", 3, 9)))
save("xmp.jpg", Image.fromarray(smooth), xmp=XMP.format(ELEMENT).encode(), quality=95, subsampling=0)
save("xmp.webp", rgb, xmp=XMP.format(ATTRIBUTE).encode(), lossless=True)
save("exif-long.jpg", Image.fromarray(smooth), exif=b"Exif\0\0" + tiff(">", 4, 4), quality=95, subsampling=0)
save("progressive.jpg", Image.fromarray(smooth), quality=95, subsampling=0, progressive=True)
save("gray.png", gray)
save("gray.jpg", Image.fromarray(smooth[..., 2]), quality=95)
save("gray-alpha.png", Image.merge("LA", (gray, Image.fromarray(alpha))))
save("bits.png", gray.convert("1"))
save("palette.png", rgb.quantize(16))
palette = rgb.quantize(16)
save("palette-transparent.png", palette, transparency=bytes(range(0, 256, 16)))
save("palette.gif", rgb.quantize(16))
save("rgba.png", Image.merge("RGBA", (*rgb.split(), Image.fromarray(alpha))))
save("rgba.webp", Image.merge("RGBA", (*rgb.split(), Image.fromarray(alpha))), lossless=True, exact=True)
save("rgb-transparent-color.png", rgb, transparency=tuple(int(v) for v in noise[3, 4]))
save("gray16.png", Image.fromarray((noise[..., 0].astype(np.uint16) * 257)))
deep = random.integers(0, 65536, (H, W, 3), dtype=np.uint16)


def deep_png(name, color, values):
    """A PNG file of 16 bits."""
    header = struct.pack(">IIBBBBB", W, H, 16, color, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


deep_alpha = np.stack([(x + 3 * y) * 997 % 65536, (x * 65535 // (W - 1))], axis=2).astype(np.uint16)
deep_png("rgb16.png", 2, deep)
deep_png("gray-alpha16.png", 4, deep_alpha)
deep_png("rgba16.png", 6, np.concatenate([deep, deep_alpha[..., 1:]], axis=2))
save("gray-transparent.png", gray, transparency=int(noise[3, 4, 0]))
save("bits2.png", gray.quantize(4), bits=2)
save("rgba-lossy.webp", Image.merge("RGBA", (*Image.fromarray(smooth).split(), Image.fromarray(alpha))), quality=90, exact=True)
save("cmyk.jpg", Image.fromarray(smooth).convert("CMYK"), quality=100, subsampling=0)
save("icc.png", rgb, icc_profile=swapped_profile())
save("icc.jpg", Image.fromarray(smooth), quality=95, subsampling=0, icc_profile=swapped_profile())
save("animated.gif", rgb.quantize(16), save_all=True, append_images=[Image.fromarray(255 - noise).quantize(16)])
save("animated.webp", rgb, save_all=True, append_images=[Image.fromarray(255 - noise)], lossless=True)
save("animated.png", rgb, save_all=True, append_images=[Image.fromarray(255 - noise)])
save("picture.bmp", rgb)
save("interlaced.gif", rgb.quantize(16), interlace=1)


def placed(name, screen, transparent=None):
    """Saves a GIF whose first frame covers a part of its screen, which begins at (2, 1)."""
    arguments = {} if transparent is None else {"transparency": transparent}
    save(name, palette, **arguments)
    with open(os.path.join(folder, name), "rb") as file:
        gif = bytearray(file.read())
    gif[6:10] = struct.pack("<HH", *screen)
    at = gif.index(b",\0\0\0\0" + struct.pack("<HH", W, H))
    gif[at + 1:at + 5] = struct.pack("<HH", 2, 1)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(gif)


# Transparent pixels of a palette keep their color: of a mask it is what counts.
canvas = Image.fromarray(np.where(x < W // 2, 0, 1 + (y % 2)).astype(np.uint8), "P")
canvas.putpalette([255, 255, 255, 0, 0, 0, 200, 30, 90])
save("canvas.gif", canvas, transparency=1)
save("canvas-white.gif", canvas, transparency=0)
save("canvas-interlaced.gif", canvas, transparency=2, interlace=1)
save("canvas.png", canvas, transparency=1)
save("canvas.webp", canvas.convert("RGBA"), lossless=True, exact=True)
save("canvas-animated.gif", canvas, save_all=True, append_images=[palette], transparency=1, disposal=2)
save("canvas-no-such-entry.gif", canvas, transparency=3)
placed("part.gif", (18, 12))
placed("part-transparent.gif", (18, 12), transparent=3)



def interlaced_png(name, color, pixels, palette_chunk=b""):
    """A PNG file in Adam7's seven passes."""
    rows = b""
    for top, left, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right] if row.size)
    header = struct.pack(">IIBBBBB", W, H, 8, color, 0, 0, 1)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette_chunk + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def bmp(name, bits, rows, colors=b"", height=H, compression=0, masks=b""):
    """A BMP file, bottom-up unless the height is negative."""
    size = 40 + len(masks)
    data = b"".join(row + bytes(-len(row) % 4) for row in (rows if height < 0 else rows[::-1]))
    start = 14 + size + len(colors)
    header = struct.pack("<IiiHHIIiiII", size, W, height, 1, bits, compression, len(data), 2835, 2835, len(colors) // 4, 0)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + masks + colors + data)


interlaced_png("interlaced.png", 2, noise)
interlaced_png("interlaced-palette.png", 3, (noise[..., 0] % 5).astype(np.uint8), chunk(b"PLTE", noise[0, :5].tobytes()))
colors = b"".join(bytes((b, g, r, 0)) for r, g, b in noise[1, :14])
bmp("bits.bmp", 1, [np.packbits(row % 2).tobytes() for row in noise[..., 0]], colors[:8])
bmp("palette.bmp", 8, [(row % 14).astype(np.uint8).tobytes() for row in noise[..., 0]], colors)
bmp("top-down.bmp", 24, [row[:, ::-1].tobytes() for row in noise], height=-H)
bmp("rgb555.bmp", 16, [(row[:, 2] // 8 + row[:, 1].astype(int) // 8 * 32 + row[:, 0].astype(int) // 8 * 1024).astype("<u2").tobytes() for row in noise])
bmp("unused-byte.bmp", 32, [np.concatenate([row[:, ::-1], np.zeros((W, 1), np.uint8)], axis=1).tobytes() for row in noise])
save("subsampled.jpg", Image.fromarray(smooth), quality=90, subsampling=2)
save("subsampled-420.jpg", Image.fromarray(noise), quality=80, subsampling=2)
save("restart.jpg", Image.fromarray(smooth), quality=95, subsampling=0, restart_marker_blocks=1)
save("lossy.webp", rgb, quality=80)
for kind in ("png", "gif", "webp", "jpg", "bmp"):
    save(f"one.{kind}", Image.fromarray(noise[:1, :1]))
other = np.random.default_rng(8)
save("long.png", Image.fromarray(other.integers(0, 256, (1, 900, 3), dtype=np.uint8)))
save("high.webp", Image.fromarray(other.integers(0, 256, (900, 1, 3), dtype=np.uint8)), lossless=True)

tensors = {}
for name in sorted(os.listdir(folder)):
    image = load_image(os.path.join(folder, name))
    if name == "gray16.png":
        # Pillow clamps these to 255, which leaves nothing of an image; what is expected are the upper bits.
        image = gray.convert("RGB")
    tensors[name] = torch.from_numpy(np.asarray(image).copy())
    mask = np.asarray(image.convert("L"))
    tensors["luma." + name] = torch.from_numpy(mask.copy())
colors = random.integers(0, 256, (1, 4096, 3), dtype=np.uint8)
tensors["colors"] = torch.from_numpy(colors)
tensors["colors.luma"] = torch.from_numpy(np.asarray(Image.fromarray(colors).convert("L")).copy())
save_file(tensors, os.path.join(out, "images.safetensors"))

tensors = {}
for number, (height, width, new_height, new_width) in enumerate(
        [(32, 48, 16, 24), (40, 30, 13, 7), (9, 11, 20, 31), (33, 17, 8, 40), (64, 8, 3, 8), (7, 50, 7, 5), (50, 20, 64, 3), (1, 1, 5, 4)]):
    source = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    tensors[f"{number}.source"] = torch.from_numpy(source)
    resized = Image.fromarray(source).resize((new_width, new_height), Image.Resampling.LANCZOS)
    tensors[f"{number}.lanczos"] = torch.from_numpy(np.asarray(resized).copy())
save_file(tensors, os.path.join(out, "resize.safetensors"))
