"""How each of the 14 lesions looks: what it takes from the air of the lungs and what it adds to the shadow.

Cardiomegaly is not here: it is anatomy. Every function returns the boxes of what it drew, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.datasets.phantom.anatomy import SIGN, Points, smooth
from benchmark.datasets.phantom.canvas import Canvas, Plane, Window, soft_step
from benchmark.datasets.phantom.lesions import Finding, Site

Box = tuple[int, int, int, int]


class Lungs:
    """The planes that lesions change while an image is made."""

    def __init__(self, canvas: Canvas, mask: Plane, air: Plane, cover: Plane) -> None:
        self.canvas, self.mask, self.air, self.cover = canvas, mask, air, cover
        self.density: Plane | np.float32 = np.float32(0)
        self.vessel_gain: Plane | np.float32 = np.float32(0.42)
        self.vessels: Plane = mask
        self.has_own_vessels = False
        self.upper_vessels = 1.0

    def add(self, window: Window, amount: Plane) -> None:
        """More shadow, inside and outside the lungs."""
        if not isinstance(self.density, np.ndarray):
            self.density = np.zeros_like(self.mask)
        self.density[window.at] += amount

    def fill(self, window: Window, share: Plane) -> None:
        """Take this share of the air away."""
        self.air[window.at] *= 1 - share

    def gain(self) -> Plane:
        """Vessel visibility per pixel, made when first needed."""
        if not isinstance(self.vessel_gain, np.ndarray):
            self.vessel_gain = np.full_like(self.mask, self.vessel_gain)
        return self.vessel_gain


def apply(lungs: Lungs, findings: Sequence[Finding]) -> dict[str, list[Box]]:
    """Draw every finding; returns name -> boxes, one per site where it has sites."""
    boxes: dict[str, list[Box]] = {}
    order = {name: k for k, name in enumerate(_DRAWINGS)}  # air first, then what fills it, then what shines through
    for finding in sorted(findings, key=lambda f: order.get(f.name, -1)):
        if finding.name == "cardiomegaly":
            boxes[finding.name] = [_box_of_points(lungs.canvas, lungs.canvas.anatomy.heart)]
            continue
        draw = _DRAWINGS[finding.name]
        boxes[finding.name] = [box for site in finding.sites if (box := draw(lungs, site, finding.severity))]
    return boxes


def _box_of_points(canvas: Canvas, points: Points) -> Box:
    xy = canvas.anatomy.to_px(points)
    w, h = canvas.width, canvas.height
    x1, x2 = np.clip([xy[:, 0].min(), xy[:, 0].max()], 0, w)
    y1, y2 = np.clip([xy[:, 1].min(), xy[:, 1].max()], 0, h)
    return round(float(x1)), round(float(y1)), round(float(x2)), round(float(y2))


def _box_of_mask(window: Window, mask: Plane, threshold: float) -> Box | None:
    rows = np.flatnonzero((mask > threshold).any(axis=1))
    columns = np.flatnonzero((mask > threshold).any(axis=0))
    if not len(rows):
        return None
    top, left = window.at[0].start, window.at[1].start
    return int(left + columns[0]), int(top + rows[0]), int(left + columns[-1] + 1), int(top + rows[-1] + 1)


def _centre(lungs: Lungs, site: Site) -> tuple[float, float]:
    return lungs.canvas.anatomy.lung_point(site.side, site.across, site.down)


def _side_of(lungs: Lungs, window: Window, side: str) -> Plane:
    """The lung mask of one side."""
    out: Plane = lungs.mask[window.at] * (np.float32(SIGN[side]) * window.x > 0)
    return out


def _nodule(lungs: Lungs, site: Site, severity: int) -> Box | None:
    rng = np.random.default_rng(site.seed)
    across, down = min(site.across, 0.75), min(site.down, 0.72)
    x, y = lungs.canvas.anatomy.lung_point(site.side, max(across, 0.42), down)
    window = lungs.canvas.window(x, y, site.size_cm + 0.8)
    d = np.hypot(window.x - np.float32(x), (window.y - np.float32(y)) * np.float32(rng.uniform(0.9, 1.12)))
    disc = soft_step(np.float32(site.size_cm) - d, 0.28)
    lungs.add(window, disc * np.float32(rng.uniform(0.17, 0.26)))
    return _box_of_mask(window, disc, 0.3)


def _mass(lungs: Lungs, site: Site, severity: int) -> Box | None:
    rng = np.random.default_rng(site.seed)
    x, y = lungs.canvas.anatomy.lung_point(site.side, 0.2 + 0.45 * site.across, min(max(site.down, 0.18), 0.66))
    window = lungs.canvas.window(x, y, site.size_cm * 1.5 + 0.5)
    dx, dy = window.x - np.float32(x), window.y - np.float32(y)
    angle, d = np.arctan2(dy, dx), np.hypot(dx, dy)
    edge = np.full_like(d, site.size_cm)
    for k in (2, 3, 5):
        edge += np.float32(site.size_cm * rng.uniform(0.03, 0.14) / math.sqrt(k - 1)) * np.cos(k * angle + np.float32(rng.uniform(0, 6.3)))
    edge += np.float32(0.045 * site.size_cm) * lungs.canvas.texture(rng, (d.shape[0], d.shape[1]), 1.3)
    body = soft_step(edge - d, 0.6)
    lungs.fill(window, body * np.float32(0.66))
    lungs.add(window, body * np.float32(rng.uniform(0.045, 0.085)))
    return _box_of_mask(window, body, 0.3)


def _cloudy(lungs: Lungs, window: Window, x: float, y: float, reach: float, rng: np.random.Generator, grain: float, rough: float) -> Plane:
    """An irregular patch, 1 in the middle, fading to 0 with a ragged edge."""
    shape = (window.at[0].stop - window.at[0].start, window.at[1].stop - window.at[1].start)
    d = np.hypot((window.x - np.float32(x)) / np.float32(reach), (window.y - np.float32(y)) / np.float32(reach * 0.85))
    cloud = lungs.canvas.texture(rng, shape, grain)
    return soft_step(np.float32(0.85) - d + np.float32(rough) * cloud, 0.95)


def _consolidation(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Dense segmental patch, bronchi shining through as dark branches."""
    rng = np.random.default_rng(site.seed)
    canvas = lungs.canvas
    x, y = _centre(lungs, site)
    reach = site.size_cm * 1.3
    window = canvas.window(x, y, reach * 1.5)
    patch = _cloudy(lungs, window, x, y, reach, rng, 0.9, 0.16) * _side_of(lungs, window, site.side)
    layer, draw = canvas.layer()
    hx, hy = canvas.anatomy.hila[site.side]
    toward = math.atan2(y - hy, x - hx)
    for _ in range(3):
        angle, px, py = toward + rng.uniform(-0.5, 0.5), x - math.cos(toward) * reach * 0.75, y - math.sin(toward) * reach * 0.75
        points = [(px, py)]
        for _ in range(4):
            angle += rng.normal(0, 0.22)
            px, py = px + math.cos(angle) * reach * 0.36, py + math.sin(angle) * reach * 0.36
            points.append((px, py))
        draw.line(canvas.px(smooth(points, 3)), fill=200, width=max(1, round(0.22 * canvas.px_per_cm)))
    branches = canvas.plane(layer, 0.07)[window.at]
    lungs.fill(window, patch * np.float32(0.62 + 0.1 * severity) * (1 - np.float32(0.5) * branches))
    lungs.add(window, patch * np.float32(0.02) * (1 - branches))
    return _box_of_mask(window, patch, 0.3)


def _infiltration(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Ill-defined, patchy haze: several faint clouds without an edge."""
    rng = np.random.default_rng(site.seed)
    x, y = _centre(lungs, site)
    reach = site.size_cm
    window = lungs.canvas.window(x, y, reach * 1.4)
    shape = (window.at[0].stop - window.at[0].start, window.at[1].stop - window.at[1].start)
    d = np.hypot(window.x - np.float32(x), window.y - np.float32(y)) / np.float32(reach)
    clumps = soft_step(lungs.canvas.texture(rng, shape, 2.0) + np.float32(0.35), 3.2)
    fade = soft_step(np.float32(0.8) - d, 0.9)
    patch = clumps * fade * _side_of(lungs, window, site.side)
    lungs.fill(window, patch * np.float32(0.4 + 0.1 * severity))
    return _box_of_mask(window, patch, 0.25)


def _pneumonia(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """A lobe, bounded by its fissure on one side and fluffy elsewhere."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    s = np.float32(SIGN[site.side])
    span = a.dome_y[site.side] - a.top
    fissure = a.top + 0.52 * span
    x, _ = a.lung_point(site.side, 0.5, 0.5)
    middle = {"upper": a.top + 0.3 * span, "mid": a.top + 0.68 * span, "lower": a.top + 0.84 * span}[site.zone]
    window = canvas.window(x, middle, 0.36 * span + 2.5)
    shape = (window.at[0].stop - window.at[0].start, window.at[1].stop - window.at[1].start)
    cloud = canvas.texture(rng, shape, 1.5)
    out = s * window.x / np.float32(a.half_width)
    if site.zone == "upper":  # sharp below, at the minor fissure
        lobe = soft_step(np.float32(fissure) - window.y - np.float32(0.6) * out, 0.25)
        lobe *= soft_step(window.y - np.float32(a.top + (0.22 - 0.05 * severity) * span) + np.float32(0.9) * cloud, 3.2)
    elif site.zone == "mid":  # sharp above, fading down and out: middle lobe or lingula
        lobe = soft_step(window.y - np.float32(fissure) - np.float32(0.8) * out, 0.25)
        lobe *= soft_step(np.float32(0.55 + 0.1 * severity) - out + np.float32(0.12) * cloud, 0.35)
        lobe *= soft_step(np.float32(a.top + 0.86 * span) - window.y + np.float32(0.7) * cloud, 2.5)
    else:  # the lower lobe: fades upwards, reaches the diaphragm
        lobe = soft_step(window.y - np.float32(a.top + (0.68 - 0.05 * severity) * span) + np.float32(1.0) * cloud, 3.4)
    lobe = np.clip(lobe * (np.float32(0.9) + np.float32(0.13) * cloud), 0, 1) * _side_of(lungs, window, site.side)
    lungs.fill(window, lobe * np.float32(0.5 + 0.11 * severity))
    return _box_of_mask(window, lobe, 0.35)


def _effusion(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Fluid: a meniscus that climbs the wall; on a supine film a veil that thickens downwards."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    window = canvas.side_window(site.side)
    out = np.clip(np.float32(SIGN[site.side]) * window.x / np.float32(a.half_width), 0, 1)
    if severity == 1:  # only the angle is filled
        height = np.float32(site.size_cm) * (np.clip((out - 0.52) / 0.48, 0, 1) ** 1.6)
        fluid = soft_step(window.y - (np.float32(a.angle_y) - height), 0.5) * (out > 0.5)
    else:
        height = np.float32(site.size_cm) * (0.62 + 0.45 * out**3.0 + 0.12 * (1 - out) ** 4)
        soft = 1.0 if a.pose.view == "PA" else 2.4
        fluid = soft_step(window.y - (np.float32(a.angle_y) - height), soft)
    fluid = fluid * _side_of(lungs, window, site.side)
    lungs.fill(window, fluid * np.float32(0.9))
    if severity > 1:
        lungs.add(window, fluid * np.float32(0.03))
    if a.pose.view == "AP" and severity > 1:
        veil = soft_step(window.y - np.float32(a.top + 0.15 * (a.angle_y - a.top)), a.angle_y - a.top) * _side_of(lungs, window, site.side)
        lungs.fill(window, veil * np.float32(0.22 + 0.08 * severity))
    lungs.gain()[window.at] *= 1 - fluid * np.float32(rng.uniform(0.8, 1.0))
    return _box_of_mask(window, fluid, 0.4)


def _pneumothorax(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """The lung shrinks towards its hilum: a thin line, and outside it air without vessels."""
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    hx, hy = a.hila[site.side]
    outline = a.lungs[site.side]
    down = np.clip((outline[:, 1] - a.top) / (a.angle_y - a.top), 0, 1)
    lateral = np.clip(np.abs(outline[:, 0]) / a.half_width, 0, 1)
    gap = site.size_cm * np.clip(1 - 0.75 * down, 0.2, 1) * np.clip((lateral - 0.12) / 0.2, 0, 1)
    if severity < 3:
        gap = gap * np.clip((0.8 - down) / 0.3, 0.0, 1)
    toward = np.stack([hx - outline[:, 0], hy - outline[:, 1]], axis=1)
    length = np.hypot(toward[:, 0], toward[:, 1])[:, None]
    shrunk = outline + toward / np.maximum(length, 0.1) * np.minimum(gap[:, None], 0.75 * length)
    collapsed = canvas.mask([shrunk])
    window = canvas.side_window(site.side)
    own = _side_of(lungs, window, site.side)
    rim = np.clip(own - collapsed[window.at], 0, 1)
    layer, draw = canvas.layer()
    edge = shrunk[gap > 0.25]
    draw.line(canvas.px(edge), fill=255, width=max(1, round(0.13 * canvas.px_per_cm)))
    open_lung = 1 - lungs.cover[window.at]
    line = canvas.plane(layer, 0.035)[window.at] * own * open_lung
    lungs.fill(window, (own - rim) * np.float32(0.06 + 0.08 * severity) - rim * np.float32(0.2))
    lungs.gain()[window.at] *= 1 - rim
    lungs.add(window, line * np.float32(0.15))
    return _box_of_mask(window, rim * open_lung, 0.5)


def _atelectasis(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Plates above a raised diaphragm; when severe a wedge of collapsed lower lobe."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    s = SIGN[site.side]
    layer, draw = canvas.layer()
    dome = a.dome_y[site.side]
    corners = []
    for k in range(1 + severity):
        x = s * (0.30 + 0.12 * rng.random()) * a.half_width
        y = dome - 0.7 - 1.25 * k - rng.uniform(0, 0.6)
        length, tilt = rng.uniform(3.6, 5.6), rng.uniform(-0.15, 0.35)
        points = smooth([(x, y), (x + s * length / 2, y + length / 2 * tilt - 0.2), (x + s * length, y + length * tilt)], 4)
        draw.line(canvas.px(points), fill=230, width=max(1, round((0.28 + 0.09 * severity) * canvas.px_per_cm)))
        corners.append(points)
    window = canvas.side_window(site.side)
    lungs.fill(window, canvas.plane(layer, 0.07)[window.at] * np.float32(0.5))
    haze_at = (s * 0.5 * a.half_width, dome)
    local = canvas.window(*haze_at, 6.0)
    d = np.hypot((local.x - np.float32(haze_at[0])) / 6, (local.y - np.float32(haze_at[1])) / np.float32(2.6))
    lungs.fill(local, soft_step(1 - d, 0.9) * np.float32(0.2 + 0.06 * severity) * _side_of(lungs, local, site.side))
    if severity == 3:
        wedge = np.array([(s * 2.0, a.carina[1] + 4.5), (s * 0.52 * a.half_width, a.angle_y - 1.5), (s * 1.5, a.angle_y)])
        filled = (canvas.mask([wedge], 0.12) * lungs.mask)[window.at]
        lungs.fill(window, filled * np.float32(0.7))
        lungs.add(window, filled * np.float32(0.05))
        corners.append(wedge)
    return _box_of_points(canvas, np.concatenate(corners))


def _thickening(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """A rind along the wall or a cap over the apex."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    s = SIGN[site.side]
    height = a.angle_y - a.top
    if site.zone == "apical":
        y = np.linspace(a.top - 0.1, a.top + (0.09 + 0.02 * severity) * height, 12)
        inner_scale = 1.5
    else:
        y = np.linspace(a.top + 0.5 * height, a.top + 0.97 * height, 14)
        inner_scale = 1.0
    outer = np.stack([s * (a.wall_x(y) + 0.15), y], axis=1)
    profile = (
        np.sin(np.linspace(0.35, math.pi - 0.35, len(y))) if site.zone == "apical" else np.sin(np.linspace(0.02, math.pi - 0.02, len(y))) ** 0.55
    )
    bumps = np.convolve(rng.uniform(-0.3, 0.3, len(y) + 2), (0.25, 0.5, 0.25), "valid")
    depth = site.size_cm * inner_scale * profile * (1 + bumps)
    if site.zone == "apical":  # the cap follows the dome of the apex inwards
        inner = np.stack([s * np.maximum(a.wall_x(y) - depth * 1.25, 0.0), y + depth * 0.8], axis=1)
        roof = np.array([(s * 2.0, a.top + 0.09 * height), (s * 2.0, a.top - 0.4), (s * 0.35 * a.half_width, a.top - 0.5)])
        outline = np.concatenate([outer, inner[::-1], roof])
        inner_edge = np.concatenate([inner[::-1], roof[:1]])
    else:
        inner = np.stack([s * (a.wall_x(y) - depth), y], axis=1)
        outline, inner_edge = np.concatenate([outer, inner[::-1]]), inner[1:-1]
    window = canvas.side_window(site.side)
    rind = canvas.mask([outline])[window.at] * lungs.mask[window.at]
    lungs.fill(window, rind * np.float32(0.78))
    lungs.add(window, rind * np.float32(0.035))
    layer, draw = canvas.layer()
    draw.line(canvas.px(inner_edge), fill=200, width=max(1, round(0.11 * canvas.px_per_cm)))
    lungs.add(window, canvas.plane(layer, 0.05)[window.at] * lungs.mask[window.at] * np.float32(0.07))
    return _box_of_mask(window, rind, 0.5)


def _edema(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Haze around the hilum, wide upper vessels, septal lines at the base; alveolar clouds when severe."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    s = np.float32(SIGN[site.side])
    hx, hy = a.hila[site.side]
    lungs.upper_vessels = max(lungs.upper_vessels, 1.35 + 0.15 * severity)
    lungs.vessel_gain = lungs.gain() if isinstance(lungs.vessel_gain, np.ndarray) else np.float32(0.58)
    window = canvas.side_window(site.side)
    shape = (window.at[0].stop - window.at[0].start, window.at[1].stop - window.at[1].start)
    d = np.hypot((window.x - np.float32(hx + s * 1.0)) / np.float32(0.56 * a.half_width), (window.y - np.float32(hy + 2.2)) / np.float32(8.5))
    wing = np.exp(-(d * d) * np.float32(1.3))
    cloud = soft_step(canvas.texture(rng, shape, 0.75) + np.float32(0.3), 1.8)
    haze = wing * (np.float32(0.30 + 0.13 * severity) * (np.float32(1 - 0.2 * severity) + np.float32(0.2 * severity) * cloud)) + np.float32(
        0.04 * severity
    )
    haze *= _side_of(lungs, window, site.side)
    lungs.fill(window, haze)
    layer, draw = canvas.layer()
    for _ in range(4 + 5 * severity):
        y = a.dome_y[site.side] - rng.uniform(-2.2, 5.0)
        wall = float(a.wall_x(y)) - 0.15
        length = rng.uniform(0.9, 1.9)
        draw.line(
            canvas.px([(float(s) * wall, y), (float(s) * (wall - length), y + rng.uniform(-0.2, 0.1))]),
            fill=210,
            width=max(1, round(0.09 * canvas.px_per_cm)),
        )
    lungs.add(window, canvas.plane(layer)[window.at] * lungs.mask[window.at] * np.float32(0.11))
    return _box_of_mask(window, haze, 0.5 * float(haze.max()))


def _fibrosis(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """A net of short lines and small rings, densest at the base and under the pleura."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    fine = 2
    layer, draw = canvas.layer(fine)
    low, high = (0.55 - 0.08 * severity, 1.06) if site.zone == "base" else (0.03, 0.42)
    count = 130 + 110 * severity
    across, down = rng.beta(1.7, 1.0, count), rng.uniform(low, high, count)
    if site.zone == "base":
        down = np.maximum(down, rng.uniform(low, high, count))
    sizes, kinds, angles = rng.uniform(0.2, 0.5, count), rng.random(count), rng.uniform(0, math.pi, count)
    places = [a.lung_point(site.side, float(u), float(v)) for u, v in zip(across, down, strict=True)]
    pixels = canvas.px(places, fine)
    width = max(1, round(0.075 * canvas.px_per_cm * fine))
    for (px, py), size, kind, angle in zip(pixels, sizes, kinds, angles, strict=True):
        r = float(size) * canvas.px_per_cm * fine
        if kind < 0.55:
            draw.ellipse((px - r, py - r * 0.85, px + r, py + r * 0.85), outline=int(150 + 100 * kind), width=width)
        else:
            dx, dy = math.cos(angle) * r * 2, math.sin(angle) * r * 2
            draw.line((px - dx, py - dy, px + dx, py + dy), fill=210, width=width)
    window = canvas.side_window(site.side)
    net = canvas.plane(layer)[window.at] * lungs.mask[window.at] * (1 - np.float32(0.8) * lungs.cover[window.at])
    middle = a.lung_point(site.side, 0.6, 0.5 * (low + high))
    d = np.hypot(
        (window.x - np.float32(middle[0])) / np.float32(0.5 * a.half_width), (window.y - np.float32(middle[1])) / np.float32(0.4 * (high - low) * 22)
    )
    lungs.fill(window, soft_step(np.float32(1.1) - d, 1.2) * np.float32(0.09 + 0.05 * severity) * _side_of(lungs, window, site.side))
    lungs.add(window, net * np.float32(0.12 + 0.035 * severity))
    return _box_of_points(canvas, np.array(places))


def _emphysema(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """Dark lungs with few vessels, bullae above; the barrel shape comes with the anatomy."""
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    window = canvas.side_window(site.side)
    own = _side_of(lungs, window, site.side)
    lungs.fill(window, own * np.float32(-0.05 - 0.06 * severity))
    upper = soft_step(np.float32(a.top + 0.6 * (a.angle_y - a.top)) - window.y, 10.0)
    lungs.gain()[window.at] *= 1 - own * (np.float32(0.15 + 0.06 * severity) + np.float32(0.12 + 0.1 * severity) * upper)
    layer, draw = canvas.layer()
    for _ in range(int(rng.integers(0, 2)) + 2 * (severity - 1)):
        x, y = a.lung_point(site.side, float(rng.uniform(0.35, 0.85)), float(rng.uniform(0.08, 0.42)))
        r = float(rng.uniform(0.9, 2.1))
        t = np.linspace(0, 2 * math.pi, 22)
        ring = canvas.px(np.stack([x + r * np.cos(t), y + r * 0.9 * np.sin(t)], axis=1))
        draw.line([*ring, ring[0]], fill=150, width=max(1, round(0.1 * canvas.px_per_cm)))
        local = canvas.window(x, y, r)
        hole = soft_step(np.float32(r) - np.hypot(local.x - np.float32(x), (local.y - np.float32(y)) / np.float32(0.9)), 0.3)
        lungs.gain()[local.at] *= 1 - np.float32(0.9) * hole
        lungs.air[local.at] *= 1 + np.float32(0.12) * hole
    lungs.add(window, canvas.plane(layer, 0.04)[window.at] * lungs.mask[window.at] * np.float32(0.13))
    return _box_of_points(canvas, a.lungs[site.side])


def _hernia(lungs: Lungs, site: Site, severity: int) -> Box | None:
    """A round pouch behind the heart with an air-fluid level. Both sites describe the one pouch; it is drawn once."""
    if site.side == "right":
        return None
    rng = np.random.default_rng(site.seed)
    canvas, a = lungs.canvas, lungs.canvas.anatomy
    r = site.size_cm
    x, y = a.midline + float(rng.uniform(0.6, 2.2)), a.dome_y["left"] - 0.62 * r + 0.6
    window = canvas.window(x, y, r * 1.35)
    d = np.hypot((window.x - np.float32(x)) / np.float32(rng.uniform(1.05, 1.3)), window.y - np.float32(y))
    d *= 1 + np.float32(0.05) * np.sin(3 * np.arctan2(window.y - np.float32(y), window.x - np.float32(x)) + np.float32(rng.uniform(0, 6)))
    inside = soft_step(np.float32(r) - d, 0.22)
    wall = np.exp(-(((d - np.float32(r)) / np.float32(0.17)) ** 2))
    level = float(y + rng.uniform(-0.15, 0.35) * r)
    gas = soft_step(np.float32(level) - window.y, 0.1) * soft_step(np.float32(r - 0.2) - d, 0.25)
    lungs.fill(window, inside * np.float32(0.85))
    lungs.add(window, inside * np.float32(0.07) + wall * np.float32(0.035) - gas * np.float32(0.18))
    return _box_of_mask(window, inside, 0.4)


_DRAWINGS: dict[str, Callable[[Lungs, Site, int], Box | None]] = {
    "emphysema": _emphysema,
    "pneumothorax": _pneumothorax,
    "edema": _edema,
    "fibrosis": _fibrosis,
    "infiltration": _infiltration,
    "pneumonia": _pneumonia,
    "consolidation": _consolidation,
    "atelectasis": _atelectasis,
    "pleural thickening": _thickening,
    "pleural effusion": _effusion,
    "mass": _mass,
    "nodule": _nodule,
    "hernia": _hernia,
}
