"""A frontal radiograph of an anatomy with its lesions and devices.

The picture is a sum of attenuations, as on film: soft tissue, minus the air of the lungs, plus bones, vessels, lesions, metal; then exposure,
blur, noise, collimation and the side marker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from benchmark.datasets.phantom import devices as device_drawing
from benchmark.datasets.phantom import lesion_drawing
from benchmark.datasets.phantom.anatomy import SIDES, SIGN, Anatomy, Points, clavicle, smooth
from benchmark.datasets.phantom.canvas import Canvas, Plane, soft_step
from benchmark.datasets.phantom.devices import Device
from benchmark.datasets.phantom.lesions import Finding

Box = tuple[int, int, int, int]


def radiograph(
    anatomy: Anatomy, findings: Sequence[Finding], devices: Sequence[Device], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Mapping[str, list[Box]]]:
    """The 8-bit image, and for each finding the boxes of where it was drawn."""
    canvas = Canvas(anatomy)
    inner = np.random.default_rng(anatomy.patient.seed)  # the same vessels and bones on every image of a person
    shadow = _soft_tissue(canvas, rng)
    lungs = canvas.mask([anatomy.lungs[side] for side in SIDES])
    cover = _mediastinum(canvas)
    air = lungs * _depth(canvas)
    air *= 1 - np.float32(0.93) * cover
    lung_state = lesion_drawing.Lungs(canvas, lungs, air, cover)
    spots = lesion_drawing.apply(lung_state, findings)
    ribs, bones = _ribs(canvas), _other_bones(canvas)
    shadow += cover * _between(canvas, 0.055)
    shadow += ribs * (np.float32(0.050) + np.float32(0.36) * np.clip(lung_state.air, 0, 0.6))  # bone shows against air
    shadow += bones
    shadow -= lung_state.air
    if not lung_state.has_own_vessels:
        lung_state.vessels = vessel_layer(canvas, inner, lung_state.upper_vessels)
    shadow += lung_state.vessels * np.clip(lung_state.air, 0, None) * lung_state.vessel_gain
    shadow += lung_state.density
    shadow -= _gas(canvas, inner)
    shadow = _expose(canvas, shadow)
    device_drawing.draw(canvas, shadow, devices)
    return _develop(canvas, shadow, rng), spots


def _between(canvas: Canvas, level: float) -> Plane:
    """``level`` from the apex to the diaphragm, fading out above and below: one column of values."""
    a = canvas.anatomy
    y = (np.arange(canvas.height, dtype=np.float32)[:, None] - canvas.height / 2) / np.float32(canvas.px_per_cm) + np.float32(a.pose.centre_y)
    low = np.float32(min(a.dome_y.values()))
    out: Plane = soft_step(y - np.float32(a.top), 4.0) * soft_step(low - y, 3.0) * np.float32(level)
    return out


def _soft_tissue(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Skin, muscle, fat and the abdomen, computed at a quarter of the resolution."""
    a = canvas.anatomy
    layer, draw, sx = canvas.coarse_layer()
    w, h = layer.size
    torso, arms = _torso(a), [_arm(a, side) for side in SIDES]
    for outline in (torso, *arms):
        draw.polygon(canvas.px(outline, sx), fill=255)
    ppc = canvas.px_per_cm * sx
    body = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.28 * ppc))).astype(np.float32) / 255
    thick = np.asarray(layer.filter(ImageFilter.GaussianBlur(2.4 * ppc))).astype(np.float32) / 255
    p = a.pose
    c = (np.arange(w, dtype=np.float32)[None, :] - w / 2) / ppc
    r = (np.arange(h, dtype=np.float32)[:, None] - h / 2) / ppc
    x = (c * math.cos(p.angle) + r * math.sin(p.angle) + p.centre_x).astype(np.float32)
    y = (r * math.cos(p.angle) - c * math.sin(p.angle) + p.centre_y).astype(np.float32)
    fat = np.float32(min(max((a.patient.wall - 1.5) / 4, 0), 1))
    # Below the costophrenic angles the belly; above the apex the neck and shoulders, which are thinner.
    belly = soft_step(y - np.float32(min(a.dome_y.values()) + 1.5), 9.0)
    neck = soft_step(np.float32(a.top + 1.0) - y, 9.0)
    centre = np.exp(-((x / np.float32(6.0)) ** 2))
    field = 0.60 + 0.05 * fat + 0.15 * centre + belly * (0.16 + 0.06 * fat) - neck * (0.13 + 0.06 * (1 - centre))
    field = body * (0.22 + 0.78 * np.clip(thick * thick * 1.08, 0, 1)) * field
    if a.patient.breast:
        for side in SIDES:
            field += _breast(a, side, x, y) * body
    field += canvas.texture(rng, (h, w), 1.6 * sx) * np.float32(0.006)
    full = Image.fromarray(field.astype(np.float32)).resize((canvas.width, canvas.height), Image.Resampling.BILINEAR)
    return np.array(full, dtype=np.float32)


def _breast(a: Anatomy, side: str, x: Plane, y: Plane) -> Plane:
    """A veil over the lower lung that ends in a curved fold."""
    size = a.patient.breast
    cx, cy = SIGN[side] * 0.66 * a.half_width, a.angle_y - 5.2 + 3.6 * size
    rx, ry = 5.4 + 1.6 * size, 6.0 + 1.6 * size
    d = np.sqrt(((x - np.float32(cx)) / rx) ** 2 + ((y - np.float32(cy)) / ry) ** 2)
    rise = soft_step(y - np.float32(cy - 0.5 * ry), 2.6 * ry)
    out: Plane = soft_step(1 - d, 0.3).astype(np.float32) * rise * np.float32(0.035 + 0.06 * size)
    return out


def _torso(a: Anatomy) -> Points:
    w, top, low, wall = a.half_width, a.top, a.angle_y + 30, a.patient.wall
    shoulder = 1.5 * w + 0.5 * wall
    half = [
        (4.6, top - 14),
        (4.9, top - 6),
        (6.6, top - 3.6),
        (1.05 * w, top - 2.2 - 0.3 * wall),
        (shoulder, top - 0.2),
        (shoulder + 0.6, top + 4.0),
        (w + wall + 1.4, top + 9.0),
        (w + wall + 0.2, top + 13.0),
        (w + wall, a.angle_y - 1),
        (w + wall + 0.3, a.angle_y + 9),
        (w + wall + 0.6, low),
    ]
    right = smooth([(-x, y) for x, y in half], 4)
    return np.concatenate([right, smooth(half, 4)[::-1]])


def _arm(a: Anatomy, side: str) -> Points:
    s, w, top, wall = SIGN[side], a.half_width, a.top, a.patient.wall
    out = 1.0 if a.pose.view == "AP" else 1.12
    inner = [(1.25 * w, top + 1), (1.3 * w * out + wall * 0.4, top + 9), (1.42 * w * out + wall, top + 20), (1.5 * w * out + wall, top + 40)]
    outer = [(1.5 * w + 0.4 * wall, top - 0.8), (1.66 * w * out + wall, top + 8), (1.8 * w * out + wall, top + 20), (1.95 * w * out + wall, top + 40)]
    return np.array([(s * x, y) for x, y in inner + outer[::-1]])


def _depth(canvas: Canvas) -> Plane:
    """How much air a ray meets: less at the edges and the apex, less in the broad-chested."""
    a = canvas.anatomy
    layer, draw, scale = canvas.coarse_layer()
    for side in SIDES:
        draw.polygon(canvas.px(a.lungs[side], scale), fill=255)
    layer = layer.filter(ImageFilter.GaussianBlur(1.5 * canvas.px_per_cm * scale))
    fat = min(max((a.patient.wall - 1.5) / 4, 0), 1)
    full = (0.50 - 0.09 * fat) * (1.0 if a.pose.view == "PA" else 0.93)
    return canvas.plane(layer) * np.float32(0.62 * full) + np.float32(0.36 * full)


def _mediastinum(canvas: Canvas) -> Plane:
    """What hides the lungs in the middle: heart, great vessels, hila."""
    a = canvas.anatomy
    layer, draw = canvas.layer()
    draw.polygon(canvas.px(a.mediastinum), fill=228)
    draw.polygon(canvas.px(a.heart), fill=250)
    descending = smooth([(a.carina[0] + 2.9, a.arch_y + 1.2), (a.carina[0] + 2.7, a.carina[1] + 4), (a.midline + 2.3, a.dome_y["left"] + 1)], 4)
    back = [(a.midline + 0.4, a.dome_y["left"] + 1), (a.carina[0], a.arch_y)]
    draw.polygon(canvas.px(np.concatenate([descending, back])), fill=246)
    soft, draw_soft, scale = canvas.coarse_layer()
    for side in SIDES:
        _hilum(canvas, draw_soft, scale, side)
    return np.maximum(canvas.plane(layer, 0.09), canvas.plane(soft.filter(ImageFilter.BoxBlur(0.3 * canvas.px_per_cm * scale))))


def _hilum(canvas: Canvas, draw: ImageDraw.ImageDraw, scale: float, side: str) -> None:
    """The pulmonary artery: out of the mediastinum, then down like a comma."""
    a, s = canvas.anatomy, SIGN[side]
    x, y = a.hila[side]
    parts = (
        ([(x - s * 2.6, y - 0.9), (x - s * 0.9, y - 0.8), (x - s * 0.1, y + 0.2)], 1.35, 150),
        ([(x - s * 0.3, y - 0.3), (x + s * 0.1, y + 1.4), (x - s * 0.3, y + 3.2)], 1.0, 135),
        ([(x - s * 1.0, y - 0.8), (x - s * 0.3, y - 2.2), (x + s * 0.5, y - 3.2)], 0.8, 95),
    )
    for points, width_cm, level in reversed(parts):
        draw.line(canvas.px(smooth(points, 5), scale), fill=level, width=max(1, round(width_cm * canvas.px_per_cm * scale)), joint="curve")


def vessel_layer(canvas: Canvas, rng: np.random.Generator, upper: float = 1.0) -> Plane:
    """Branching arteries and veins from both hila; ``upper`` widens those of the upper zones (cephalisation)."""
    fine = 2
    layer, draw = canvas.layer(fine)
    width, lines = _vessels(canvas.anatomy, rng, upper)
    order = np.argsort(width)  # the wide ones last, on top
    width, lines = width[order], lines[order]
    flat = canvas.px(lines.reshape(-1, 2), fine)
    points = lines.shape[1]
    levels = np.minimum(230, 62 + 560 * width).astype(int).tolist()
    pixels = np.maximum(1, np.rint(width * canvas.px_per_cm * fine)).astype(int).tolist()
    for k, (level, wide) in enumerate(zip(levels, pixels, strict=True)):
        draw.line(flat[k * points : (k + 1) * points], fill=level, width=wide)
    return canvas.plane(layer)


def _vessels(a: Anatomy, rng: np.random.Generator, upper: float) -> tuple[Points, Points]:
    """Widths (n,) and centre lines (n, 4, 2) in cm, grown generation by generation from both hila."""
    count, pieces = 13, 3
    sign = np.repeat([SIGN[side] for side in SIDES], count)
    degrees = np.tile(np.linspace(-80, 84, count), 2) + rng.uniform(-7, 7, 2 * count)
    hila = np.repeat([a.hila[side] for side in SIDES], count, axis=0)
    angle = np.radians(degrees)
    at = hila + np.stack([-sign * rng.uniform(0.1, 0.8, 2 * count), 1.9 * np.sin(angle) + rng.uniform(-0.5, 0.7, 2 * count)], axis=1)
    width = np.where(degrees > 0, 0.28, 0.19 * upper) * rng.uniform(0.7, 1.2, 2 * count)
    reach = np.where(degrees > 25, 9.5, 7.5) * rng.uniform(0.8, 1.15, 2 * count)
    widths, lines = [], []
    for generation in range(5):
        line = [at]
        step = reach * (0.42 if generation else 0.36) / pieces
        for _ in range(pieces):
            angle = angle + rng.normal(0, 0.17, len(angle))
            at = at + np.stack([sign * np.cos(angle) * step, np.sin(angle) * step], axis=1)
            line.append(at)
        widths.append(width)
        lines.append(np.stack(line, axis=1))
        keep = width * 0.7 > 0.041  # finer ones are not seen on film
        sign, angle, at, width, reach = (np.concatenate([v[keep], v[keep]]) for v in (sign, angle, at, width, reach))
        half = len(angle) // 2
        fork = rng.uniform(0.19, 0.47, 2 * half) * np.repeat([1.0, -1.0], half)
        angle = angle + fork
        width = width * np.repeat([0.74, 0.66], half)
        reach = reach * np.repeat([0.68, 0.63], half)
    return np.concatenate(widths), np.concatenate(lines)


def _ribs(canvas: Canvas) -> Plane:
    """Back and front arcs of both sides."""
    a, fine = canvas.anatomy, 2
    back, draw_back = canvas.layer(fine)
    front, draw_front = canvas.layer(fine)
    k = np.arange(11.0)[:, None]
    t = np.linspace(0, 1, 13)[None, :]
    slope = a.patient.rib_slope
    start = a.top - 0.4 + k * (a.angle_y - a.top + 2.2) / 10.6
    drop = (1.4 + 0.26 * k) * slope
    wall = a.wall_x(start + drop) + 0.35
    wall[0] = 0.5 * a.half_width
    x = 2.0 + (wall - 2.0) * np.sin(t * 1.5) / math.sin(1.5)
    y = start - 0.75 * np.sin(t * 2.6) + drop * t**2.4
    end = 4.6 + 0.42 * k
    x_front = (end + (wall - end) * np.cos(t * 1.5))[1:8]
    y_front = (y[:, -1:] + (3.0 + 0.28 * k) * slope * np.sin(t * 1.5))[1:8]
    for side in SIDES:
        _bands(canvas, draw_back, SIGN[side] * x[:1] + a.midline, y[:1], 0.40, 36, 60)  # the first is short and faint
        _bands(canvas, draw_back, SIGN[side] * x[1:] + a.midline, y[1:], 0.40, 66, 122)
        _bands(canvas, draw_front, SIGN[side] * x_front - 0.4 * a.pose.turn, y_front, 0.50, 40, 74)
    return canvas.plane(ImageChops.add(back, front))


def _bands(canvas: Canvas, draw: ImageDraw.ImageDraw, x: Points, y: Points, half: float, fill: int, edge_fill: int, fine: int = 2) -> None:
    """Long bones along the centre lines ``x``, ``y`` (bones, points): grey inside, brighter cortex."""
    dx, dy = np.gradient(x, axis=1), np.gradient(y, axis=1)
    norm = half / (np.hypot(dx, dy) + 1e-9)
    upper = np.stack([x + dy * norm, y - dx * norm], axis=2)
    lower = np.stack([x - dy * norm, y + dx * norm], axis=2)[:, ::-1]
    corners = canvas.px(np.concatenate([upper, lower], axis=1).reshape(-1, 2), fine)
    n = x.shape[1]
    edge = max(1, round(0.11 * canvas.px_per_cm * fine))
    for at in range(0, len(corners), 2 * n):
        draw.polygon(corners[at : at + 2 * n], fill=fill)
        draw.line(corners[at : at + n], fill=edge_fill, width=edge)
        draw.line(corners[at + n : at + 2 * n], fill=edge_fill, width=edge)


def _other_bones(canvas: Canvas) -> Plane:
    """Clavicles, shoulder blades, arms and spine."""
    a, w, top, fine = canvas.anatomy, canvas.anatomy.half_width, canvas.anatomy.top, 2
    layer, draw = canvas.layer(fine)
    edge = max(1, round(0.13 * canvas.px_per_cm * fine))
    out = 1.0 if a.pose.view == "AP" else 1.1  # shoulders rolled forward clear the lungs
    for side in SIDES:
        s = SIGN[side]
        blade = [
            (1.30 * w, top - 0.4),
            (1.0 * w * out, top + 1.2),
            (0.93 * w * out, top + 5.5),
            (1.0 * w * out, top + 12.0),
            (1.1 * w * out, top + 9.5),
            (1.33 * w, top + 2.6),
        ]
        outline = canvas.px([(s * x, y) for x, y in blade], fine)
        draw.polygon(outline, fill=20)
        draw.line(outline[1:4], fill=36, width=edge)
        draw.line(outline[3:], fill=58, width=edge * 2)
        hx, hy = 1.36 * w + 0.5, top + 2.2
        bone = [(hx - 1.1, hy), (hx + 1.9, hy), ((hx + 4.6) * 1.06, top + 40), ((hx + 2.5) * 1.06, top + 40), (hx + 0.4, hy)]
        *shaft, (px, py) = canvas.px([(s * x, y) for x, y in bone], fine)
        draw.polygon(shaft, fill=42)
        draw.line(shaft[1:3], fill=64, width=edge * 2)
        draw.line([shaft[0], shaft[3]], fill=64, width=edge * 2)
        r = 2.3 * canvas.px_per_cm * fine
        draw.ellipse((px - r, py - r, px + r, py + r), fill=50, outline=68, width=edge)
        line = clavicle(a, side)
        _bands(canvas, draw, line[None, :, 0], line[None, :, 1], 0.55, 52, 88)
    _spine(canvas, draw, edge, fine)
    return canvas.plane(layer) * np.float32(0.68)


def _spine(canvas: Canvas, draw: ImageDraw.ImageDraw, edge: int, fine: int) -> None:
    """Vertebral bodies with their discs, pedicles and spinous processes."""
    a = canvas.anatomy
    top, k = a.top - 8.0, 0
    points: list[tuple[float, float]] = []
    while top < a.angle_y + 12:
        size, half = 1.75 + 0.075 * max(k - 4, 0), 1.45 + 0.035 * k
        x = a.midline + a.patient.bend * math.sin((top - a.top) / (a.angle_y - a.top) * 3.0)
        middle, low = top + size / 2, top + size
        points += [(x - half, top), (x + half, top), (x + half * 0.93, middle), (x + half, low), (x - half, low), (x - half * 0.93, middle)]
        points += [(x - half * 0.62, top + 0.45 * size), (x + half * 0.62, top + 0.45 * size), (x, top + 0.55 * size), (x, top + 1.05 * size)]
        top, k = low + 0.42, k + 1
    flat, r = canvas.px(points, fine), 0.34 * canvas.px_per_cm * fine
    for at in range(0, len(flat), 10):
        body, pedicles, process = flat[at : at + 6], flat[at + 6 : at + 8], flat[at + 8 : at + 10]
        draw.polygon(body, fill=16)
        draw.line([body[0], body[1]], fill=27, width=edge)
        draw.line([body[4], body[3]], fill=27, width=edge)
        for px, py in pedicles:
            draw.ellipse((px - r, py - 1.3 * r, px + r, py + 1.3 * r), outline=31, width=edge)
        draw.line(process, fill=34, width=edge * 3)


def _gas(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Air outside the lungs: trachea and main bronchi, the stomach bubble, at times bowel."""
    a = canvas.anatomy
    cx, cy = a.carina
    layer, draw, scale = canvas.coarse_layer()
    ppc = canvas.px_per_cm * scale
    bend = 0.25 * a.pose.turn
    tube = smooth([(cx - 0.1 - bend, a.top - 7), (cx + 0.1, a.top + 1), (cx + 0.15, a.arch_y - 1), (cx, cy - 0.2)], 4)
    draw.line(canvas.px(tube, scale), fill=132, width=max(1, round(1.7 * ppc)), joint="curve")
    for s, (dx, dy), width in ((-1, (2.6, 2.9), 1.15), (1, (4.0, 2.5), 1.0)):
        path = [(cx, cy - 0.4), (cx + s * dx * 0.5, cy + dy * 0.45), (cx + s * dx, cy + dy)]
        draw.line(canvas.px(path, scale), fill=84, width=max(1, round(width * ppc)), joint="curve")
    x, y = 0.42 * a.half_width, a.dome_y["left"] + 2.6 + float(rng.uniform(0, 0.8))
    rx, ry = float(rng.uniform(1.6, 3.2)), float(rng.uniform(0.9, 1.7))
    angle = np.linspace(0, 2 * math.pi, 24)
    level = int(rng.choice((0, 120, 190), p=(0.25, 0.4, 0.35)))
    bubble = np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle) * (1 - 0.2 * np.cos(2 * angle))], axis=1)
    draw.polygon(canvas.px(bubble, scale), fill=level)
    for _ in range(int(rng.integers(0, 4))):
        gx, gy, r = float(rng.uniform(0.2, 0.9)) * a.half_width, a.angle_y + float(rng.uniform(2, 7)), float(rng.uniform(0.6, 1.5))
        draw.polygon(canvas.px(np.stack([gx + r * 1.3 * np.cos(angle), gy + r * np.sin(angle)], axis=1), scale), fill=100)
    return canvas.plane(layer.filter(ImageFilter.BoxBlur(0.15 * ppc))) * np.float32(0.24)


def _expose(canvas: Canvas, shadow: Plane) -> Plane:
    """Contrast and gamma of the detector; 0 black, 1 white."""
    p = canvas.anatomy.pose
    shadow -= np.float32(0.5)
    shadow *= np.float32(1.06 * p.contrast)
    shadow += np.float32(0.475)
    np.clip(shadow, 0.004, 1.25, out=shadow)
    # A soft shoulder keeps the belly from burning out.
    shadow /= np.float32(1) + np.float32(0.12) * shadow * shadow
    shadow **= np.float32(p.gamma)
    return shadow


def _develop(canvas: Canvas, shadow: Plane, rng: np.random.Generator) -> NDArray[np.uint8]:
    p = canvas.anatomy.pose
    grain = canvas.noise(rng)
    shadow += grain * (np.float32(p.noise) * (np.float32(0.55) + np.float32(0.7) * shadow))
    shadow *= np.float32(255)
    np.clip(shadow, 0, 255, out=shadow)
    image = Image.fromarray(shadow.astype(np.uint8))
    if (radius := p.blur * canvas.px_per_cm / 12.8) > 0.25:
        image = image.filter(ImageFilter.BoxBlur(1.2 * radius))
    draw = ImageDraw.Draw(image)
    _collimate(canvas, draw, rng)
    _marker(canvas, draw, rng)
    return np.asarray(image)


def _collimate(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """The unexposed border that some images have."""
    kind = rng.random()
    margins = rng.uniform(0.0, 0.045, 4)
    w, h = canvas.width, canvas.height
    level = int(rng.integers(0, 14))
    if kind < 0.3:
        left, top, right, bottom = (int(m * side) for m, side in zip(margins, (w, h, w, h), strict=True))
        for box in ((0, 0, left, h), (0, 0, w, top), (w - right, 0, w, h), (0, h - bottom, w, h)):
            if box[2] > box[0] and box[3] > box[1]:
                draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=level)


def _marker(canvas: Canvas, draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """L or R in lead, now and then with the technologist's words."""
    letter = "L" if rng.random() < 0.6 else "R"
    size = max(8, round(canvas.height * float(rng.uniform(0.035, 0.06))))
    x = float(rng.uniform(0.87, 0.93) if letter == "L" else rng.uniform(0.05, 0.1)) * canvas.width
    y = float(rng.uniform(0.04, 0.16)) * canvas.height
    draw.text((x, y), letter, fill=int(rng.integers(215, 255)), font=_font(size))
    if canvas.anatomy.pose.view == "AP" and rng.random() < 0.5:
        words = ("PORTABLE", "AP", "SUPINE", "AP ERECT", "SEMI-ERECT")[int(rng.integers(5))]
        draw.text((x - 2.2 * size * (letter == "L"), y + 1.3 * size), words, fill=225, font=_font(max(7, size // 2)))


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
