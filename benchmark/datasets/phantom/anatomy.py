"""The chest of one phantom patient in centimetres, and where it lies on the detector.

Coordinates: x to the right of the image (the patient's left), y downwards, origin in the midline between apex and diaphragm.
All shapes are closed or open polygons, arrays (n, 2). ``boxes`` turns them into the 36 boxed objects of Chest ImaGenome.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
SIDES = ("right", "left")
SIGN = {"right": -1.0, "left": 1.0}
DETECTOR_CM = 34.0  # short side of the field of view; common cassettes are 35 x 43 and 43 x 43

UNREPORTED = (  # the objects that have boxes in Chest ImaGenome but no sentences
    "left cardiophrenic angle",
    "right cardiophrenic angle",
    "left cardiac silhouette",
    "right cardiac silhouette",
    "descending aorta",
    "left upper abdomen",
    "right upper abdomen",
)


@dataclass(frozen=True)
class Patient:
    """What stays with a person from one examination to the next."""

    sex: str
    """F or M"""
    age: int
    """years"""
    half_width: float
    """cm from the midline to the inner chest wall"""
    lung_height: float
    """cm from apex to costophrenic angle"""
    dome: float
    """cm from costophrenic angle up to the top of the diaphragm"""
    heart_ratio: float
    """heart width over chest width when healthy, PA"""
    wall: float
    """cm of soft tissue outside the ribs"""
    breast: float
    """0 = none, 1 = large"""
    knob: float
    """cm, radius of the aortic knob"""
    bend: float
    """cm of sideways bend of the spine"""
    rib_slope: float
    """1 = average; more = steeper ribs"""
    seed: int
    """of everything that is drawn at random inside: vessels, texture"""


@dataclass(frozen=True)
class Pose:
    """How one image was taken."""

    view: str
    """AP or PA"""
    width_px: int
    """columns of the image"""
    height_px: int
    """rows of the image"""
    px_per_cm: float
    """enlargement"""
    centre_x: float
    """cm, point of the chest in the middle of the image"""
    centre_y: float
    """cm"""
    angle: float
    """radians, tilt of the cassette"""
    turn: float
    """cm, rotation of the patient: the front moves against the back"""
    breath: float
    """1 = full inspiration"""
    gamma: float
    """exposure: below 1 darker in print terms, the image brighter"""
    contrast: float
    """1 = average"""
    blur: float
    """px at 512 px, scatter and motion"""
    noise: float
    """standard deviation of the quantum noise as a share of full scale"""


@dataclass(frozen=True)
class Changes:
    """How disease bends the anatomy; filled by ``lesions.changes``."""

    heart_ratio: float | None = None
    """replaces the healthy ratio"""
    inflation: float = 0.0
    """0 = none, 1 = barrel chest with flat diaphragms"""
    raised: Mapping[str, float] = field(default_factory=dict)
    """side -> cm by which the hemidiaphragm stands higher"""
    shift: float = 0.0
    """cm by which mediastinum and heart are pushed (positive = to the patient's left)"""
    shrink: float = 0.0
    """share of lung height that is lost on both sides"""


@dataclass(frozen=True)
class Anatomy:
    """The shapes of one image."""

    patient: Patient
    pose: Pose
    top: float
    """cm, y of the lung apex"""
    angle_y: float
    """cm, y of the costophrenic angles"""
    dome_y: Mapping[str, float]
    """side -> y of the top of the diaphragm"""
    carina: tuple[float, float]
    """cm"""
    arch_y: float
    """cm, centre of the aortic knob"""
    half_width: float
    """cm, inner chest wall at its widest"""
    ratio: float
    """heart width over chest width as drawn"""
    lungs: Mapping[str, Points]
    """side -> closed outline, reaching behind the heart"""
    diaphragm: Mapping[str, Points]
    """side -> open curve from the costophrenic angle to the heart"""
    heart: Points
    """closed outline"""
    mediastinum: Points
    """closed outline from neck to heart"""
    hila: Mapping[str, tuple[float, float]]
    """side -> cm"""
    midline: float
    """cm, x of the spine at mid-height"""

    def wall_x(self, y: float | Points) -> Points:
        """Distance of the inner chest wall from the midline at height ``y``."""
        t = (np.asarray(y, dtype=np.float64) - self.top) / (self.angle_y - self.top)
        x: Points = np.interp(t, _WALL_T, _WALL_X) * self.half_width
        return x

    def lung_point(self, side: str, across: float, down: float) -> tuple[float, float]:
        """A point of a lung: ``across`` 0 medial to 1 lateral, ``down`` 0 apex to 1 diaphragm."""
        y = self.top + down * (self.dome_y[side] - self.top)
        lateral, medial = float(self.wall_x(y)), 2.4
        return SIGN[side] * (medial + across * max(lateral - medial, 0.5)), y

    def to_px(self, points: Points | Sequence[tuple[float, float]]) -> Points:
        """Centimetres -> pixels of this image."""
        p = self.pose
        xy = np.asarray(points, dtype=np.float64) - (p.centre_x, p.centre_y)
        cos, sin = math.cos(p.angle) * p.px_per_cm, math.sin(p.angle) * p.px_per_cm
        return np.stack([xy[:, 0] * cos - xy[:, 1] * sin + p.width_px / 2, xy[:, 0] * sin + xy[:, 1] * cos + p.height_px / 2], axis=1)


# The inner chest wall: share of lung height from the apex -> share of the half width.
_WALL_T = np.array([0.0, 0.03, 0.07, 0.13, 0.22, 0.33, 0.46, 0.6, 0.75, 0.9, 1.0])
_WALL_X = np.array([0.40, 0.53, 0.64, 0.745, 0.84, 0.91, 0.955, 0.985, 1.0, 1.0, 0.985])


def sample_patient(rng: np.random.Generator) -> Patient:
    """One person, drawn from plausible ranges."""
    female = rng.random() < 0.48
    wall = float(np.clip(rng.normal(2.6, 1.1), 1.0, 6.0))
    return Patient(
        sex="F" if female else "M",
        age=int(np.clip(rng.normal(61, 17), 19, 91)),
        half_width=float(np.clip(rng.normal(12.6 if female else 13.7, 0.8), 11.0, 15.8)),
        lung_height=float(np.clip(rng.normal(22.6 if female else 24.4, 1.5), 19.5, 28.0)),
        dome=float(rng.uniform(3.2, 5.0)),
        heart_ratio=float(np.clip(rng.normal(0.445, 0.022), 0.39, 0.485)),
        wall=wall,
        breast=float(np.clip(rng.normal(0.5, 0.3), 0.12, 1.0)) if female else 0.0,
        knob=float(rng.uniform(1.3, 2.0)),
        bend=float(rng.normal(0, 0.35)),
        rib_slope=float(rng.uniform(0.8, 1.25)),
        seed=int(rng.integers(2**31)),
    )


def sample_pose(rng: np.random.Generator, patient: Patient, view: str, size_px: int) -> Pose:
    """How this image happens to be taken; AP is the portable at the bedside: closer, shallower breath, more tilt."""
    portable = view == "AP"
    long_px = round(size_px * 1.22)
    shapes = ((size_px, size_px), (size_px, long_px), (long_px, size_px))
    width, height = shapes[int(rng.choice(3, p=(0.55, 0.12, 0.33) if portable else (0.55, 0.36, 0.09)))]
    scale = size_px / DETECTOR_CM * (1.05 if portable else 1.0) * rng.uniform(0.93, 1.08) * 13.6 / max(patient.half_width, 12.4)
    return Pose(
        view=view,
        width_px=width,
        height_px=height,
        px_per_cm=float(scale),
        centre_x=float(rng.normal(0, 0.9 if portable else 0.5)),
        centre_y=float(rng.normal(0.3, 1.0)),
        angle=float(rng.normal(0, 0.035 if portable else 0.014)),
        turn=float(np.clip(rng.normal(0, 0.55 if portable else 0.25), -1.3, 1.3)),
        breath=float(np.clip(rng.normal(0.86 if portable else 0.97, 0.05), 0.72, 1.06)),
        gamma=float(rng.uniform(0.86, 1.18)),
        contrast=float(rng.uniform(0.9, 1.1)),
        blur=float(rng.uniform(0.0, 0.7) + (0.25 if portable else 0.0)),
        noise=float(rng.uniform(0.008, 0.02) * (1.4 if portable else 1.0)),
    )


def build(patient: Patient, pose: Pose, changes: Changes) -> Anatomy:
    """Lay the shapes out for one image."""
    inflation = changes.inflation
    height = patient.lung_height * pose.breath * (1 + 0.11 * inflation) * (1 - changes.shrink)
    half = patient.half_width * (1 + 0.03 * inflation)
    top = -0.54 * patient.lung_height
    angle_y = top + height
    dome = patient.dome * (1 - 0.72 * inflation) * (1.12 if pose.view == "AP" else 1.0)
    dome_y = {
        "right": angle_y - dome - 0.8 * (1 - inflation) - changes.raised.get("right", 0.0),
        "left": angle_y - dome - changes.raised.get("left", 0.0),
    }
    carina = (-0.2 + 0.5 * changes.shift + 0.3 * pose.turn, top + 0.375 * height)
    ratio = changes.heart_ratio or patient.heart_ratio * (1 - 0.13 * inflation)
    if pose.view == "AP":
        ratio *= 1.045  # the heart lies farther from the cassette
    lungs, curves = {}, {}
    for side in SIDES:
        curves[side] = _diaphragm(side, half, angle_y, dome_y[side], inflation)
        lungs[side] = _lung(side, half, top, angle_y, curves[side])
    heart = _heart(ratio, half, carina, angle_y, dome_y, changes.shift + 0.6 * pose.turn)
    arch_y = carina[1] - 2.4
    return Anatomy(
        patient,
        pose,
        top,
        angle_y,
        dome_y,
        carina,
        arch_y,
        half,
        ratio,
        lungs,
        curves,
        heart,
        _mediastinum(patient, top, carina, arch_y, heart, changes.shift + 0.6 * pose.turn),
        {"right": (carina[0] - 3.5, carina[1] + 2.5), "left": (carina[0] + 3.9, carina[1] + 1.5)},
        patient.bend * 0.3 - 0.35 * pose.turn,
    )


def smooth(points: Sequence[tuple[float, float]], steps: int = 7, *, closed: bool = False) -> Points:
    """A Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, p[-2:-1]])


def _diaphragm(side: str, half: float, angle_y: float, dome_y: float, inflation: float) -> Points:
    d, s = angle_y - dome_y, SIGN[side]
    peak = 0.52 if side == "right" else 0.55
    points = [(0.985, 0.0), (0.93, 0.36), (0.84, 0.68), (peak + 0.16, 0.92), (peak, 1.0), (peak - 0.17, 0.94), (0.2, 0.76), (0.1, 0.62)]
    if inflation > 0.4:  # flattened: little more than a slope
        points = [(0.985, 0.0), (0.92, 0.45), (0.8, 0.8), (peak + 0.12, 0.97), (peak, 1.0), (peak - 0.17, 0.99), (0.2, 0.95), (0.1, 0.9)]
    return smooth([(s * x * half, angle_y - h * d) for x, h in points], 5)


def _lung(side: str, half: float, top: float, angle_y: float, diaphragm: Points) -> Points:
    s, height = SIGN[side], angle_y - top
    apex = [(1.9, top + 0.13 * height), (2.3, top + 0.05 * height), (0.25 * half, top + 0.012 * height), (0.33 * half, top)]
    wall = [(x * half, top + t * height + (0.0 if t else 0.004 * height)) for t, x in zip(_WALL_T, _WALL_X, strict=True)]
    outer = smooth([(s * x, y) for x, y in apex + wall], 4)
    medial = np.array([(s * 1.5, diaphragm[-1, 1]), (s * 1.5, top + 0.4 * height), (s * 1.7, top + 0.2 * height)])
    return np.concatenate([outer, diaphragm, medial])


def _heart(ratio: float, half: float, carina: tuple[float, float], angle_y: float, dome_y: Mapping[str, float], shift: float) -> Points:
    width = ratio * 2 * half
    r, left = 0.31 * width, 0.69 * width
    x0, y0 = shift, carina[1]
    low_r, low_l = dome_y["right"] + 0.8, min(dome_y["left"] + 1.2, angle_y - 1.2)
    span = max(low_l - y0, 6.0)
    points = [
        (x0 - 2.3, y0 + 0.12 * span),
        (x0 - 0.80 * r, y0 + 0.36 * span),
        (x0 - r, y0 + 0.66 * span),
        (x0 - 0.90 * r, low_r - 0.2),
        (x0 - 0.45 * r, low_r + 1.1),
        (x0 + 0.35 * left, low_l + 1.0),
        (x0 + 0.74 * left, low_l + 0.5),
        (x0 + 0.94 * left, y0 + 0.93 * span),
        (x0 + left, y0 + 0.78 * span),
        (x0 + 0.93 * left, y0 + 0.60 * span),
        (x0 + 0.73 * left, y0 + 0.40 * span),
        (x0 + 0.50 * left, y0 + 0.21 * span),
        (x0 + 3.1, y0 + 0.08 * span),
        (x0 + 2.5, y0 - 0.02 * span),
        (x0, y0 - 0.08 * span),
    ]
    return smooth(points, 5, closed=True)


def _mediastinum(patient: Patient, top: float, carina: tuple[float, float], arch_y: float, heart: Points, shift: float) -> Points:
    x0, k = shift * 0.8, patient.knob
    low = float(heart[:, 1].max()) - 1.0
    points = [
        (x0 - 2.6, top - 6),
        (x0 - 2.1, top - 1.5),
        (x0 - 2.1, top + 1.2),
        (x0 - 2.6, arch_y),
        (x0 - 2.7, carina[1] + 1),
        (x0 - 2.6, carina[1] + 4),
        (x0 - 2.2, low),
        (x0 + 2.4, low),
        (x0 + 2.5, carina[1] + 4),
        (x0 + 2.4, carina[1] + 0.8),
        (x0 + 1.9 + 0.35 * k, arch_y + k),
        (x0 + 2.0 + k, arch_y + 0.25 * k),
        (x0 + 1.85 + 0.8 * k, arch_y - 0.75 * k),
        (x0 + 2.1, arch_y - 1.5 * k),
        (x0 + 2.2, top + 2.2),
        (x0 + 2.6, top + 0.6),
        (x0 + 2.4, top - 1.5),
        (x0 + 2.6, top - 6),
    ]
    return smooth(points, 5, closed=True)


def boxes(a: Anatomy) -> dict[str, tuple[int, int, int, int]]:
    """The 36 boxed objects as left, top, right, bottom in pixels, cut to the image as the real boxes mostly are."""
    rects: dict[str, tuple[float, float, float, float]] = {}
    med = (float(a.mediastinum[:, 0].min()), float(a.mediastinum[:, 0].max()))
    heart = (a.heart[:, 0].min(), a.heart[:, 1].min(), a.heart[:, 0].max(), a.heart[:, 1].max())
    for side in SIDES:
        s, dome, angle = SIGN[side], a.dome_y[side], a.angle_y
        lung = a.lungs[side]
        span = dome - a.top
        cut = [a.top + span * share for share in (0.0, 0.17, 0.40, 0.68)]
        inner, wall = 1.7, float(a.wall_x(angle - 2.0))
        hilum_x, hilum_y = a.hila[side]
        rects[f"{side} lung"] = _around(lung)
        rects[f"{side} apical zone"] = _band(s, inner, float(a.wall_x(cut[1])), cut[0], cut[1])
        rects[f"{side} upper lung zone"] = _band(s, inner, float(a.wall_x(cut[2])), cut[0], cut[2])
        rects[f"{side} mid lung zone"] = _band(s, inner, float(a.wall_x(cut[3])), cut[2], cut[3])
        rects[f"{side} lower lung zone"] = _band(s, inner, wall, cut[3], angle)
        rects[f"{side} hilar structures"] = (hilum_x - 2.3, hilum_y - 3.0, hilum_x + 2.3, hilum_y + 3.4)
        rects[f"{side} costophrenic angle"] = _band(s, wall - 3.6, wall + 0.3, angle - 3.2, angle + 0.6)
        rects[f"{side} hemidiaphragm"] = _band(s, 1.5, wall, dome - 0.3, angle + 0.4)
        rects[f"{side} clavicle"] = _around(clavicle(a, side))
        rects[f"{side} upper abdomen"] = _band(s, 0.0, wall, dome + 0.5, angle + 7.0)
        edge = heart[0] if side == "right" else heart[2]
        rects[f"{side} cardiophrenic angle"] = (edge - 1.6, dome - 2.2, edge + 1.6, dome + 1.8)
        rects[f"{side} cardiac silhouette"] = (
            (heart[0], heart[1], a.midline, heart[3]) if side == "right" else (a.midline, heart[1], heart[2], heart[3])
        )
    cx, cy = a.carina
    rects["trachea"] = (cx - 1.3, a.top - 4.0, cx + 1.5, cy)
    rects["carina"] = (cx - 1.8, cy - 1.2, cx + 2.0, cy + 1.6)
    rects["spine"] = (a.midline - 2.1, a.top - 5.0, a.midline + 2.1, a.angle_y + 9.0)
    rects["aortic arch"] = (cx + 0.3, a.arch_y - 2.0, max(med[1], cx + 3.6), a.arch_y + 2.0)
    rects["descending aorta"] = (cx + 0.4, a.arch_y + 0.6, cx + 3.4, a.dome_y["left"])
    rects["mediastinum"] = (min(med[0], heart[0]), a.top - 0.8, max(med[1], heart[2]), heart[3])
    rects["upper mediastinum"] = (med[0] - 0.4, a.top - 0.8, med[1] + 0.4, cy + 0.5)
    rects["svc"] = (med[0] - 0.2, a.arch_y - 2.6, cx - 0.6, cy + 2.6)
    rects["cardiac silhouette"] = heart
    rects["cavoatrial junction"] = (cx - 4.2, cy + 2.2, cx - 1.2, cy + 4.6)
    rects["right atrium"] = (heart[0], cy + 3.4, cx - 0.2, heart[3] - 1.2)
    rects["abdomen"] = (-a.half_width, min(a.dome_y.values()), a.half_width, a.angle_y + 7.5)
    return _pixels(a, dict(sorted(rects.items())))


def clavicle(a: Anatomy, side: str) -> Points:
    """Centre line of a collar bone, from the sternum outwards."""
    s, w, top = SIGN[side], a.half_width, a.top
    lift = 0.8 if a.pose.view == "AP" else 0.0
    x0 = s * 1.7 + a.pose.turn
    points = [
        (x0, top + 3.0 - lift),
        (x0 + s * 0.2 * w, top + 1.9 - lift),
        (s * 0.5 * w, top + 0.9 - lift),
        (s * 0.8 * w, top - 0.6),
        (s * 1.08 * w, top - 1.3),
        (s * 1.3 * w, top - 0.7),
    ]
    return smooth(points, 5)


def _around(points: Points) -> tuple[float, float, float, float]:
    return (float(points[:, 0].min()), float(points[:, 1].min()), float(points[:, 0].max()), float(points[:, 1].max()))


def _band(sign: float, inner: float, outer: float, top: float, bottom: float) -> tuple[float, float, float, float]:
    """A box on one side of the midline."""
    return (min(sign * inner, sign * outer), top, max(sign * inner, sign * outer), bottom)


def _pixels(a: Anatomy, rects: Mapping[str, tuple[float, float, float, float]]) -> dict[str, tuple[int, int, int, int]]:
    """Rectangles in cm -> boxes in pixels."""
    left, top, right, bottom = np.array(list(rects.values()), dtype=np.float64).T
    corners = np.stack([np.stack([left, top], 1), np.stack([right, top], 1), np.stack([left, bottom], 1), np.stack([right, bottom], 1)], axis=1)
    xy = a.to_px(corners.reshape(-1, 2)).reshape(-1, 4, 2)
    # Mean of the tilted edges: a box a reader would draw, not the hull of the tilted rectangle.
    x = np.clip(np.stack([xy[:, [0, 2], 0].mean(1), xy[:, [1, 3], 0].mean(1)], 1), 0, a.pose.width_px)
    y = np.clip(np.stack([xy[:, [0, 1], 1].mean(1), xy[:, [2, 3], 1].mean(1)], 1), 0, a.pose.height_px)
    whole = np.rint(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)).astype(int).tolist()
    return {name: (x1, y1, x2, y2) for name, (x1, y1, x2, y2) in zip(rects, whole, strict=True)}
