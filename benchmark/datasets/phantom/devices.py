"""Tubes, lines and metal on the film: who carries what, and how it is drawn. They are distractors, no lesion among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from benchmark.datasets.phantom.anatomy import SIGN, Patient, smooth
from benchmark.datasets.phantom.canvas import Canvas, Plane
from benchmark.datasets.phantom.lesions import Finding


@dataclass(frozen=True)
class Device:
    """One foreign body."""

    kind: str
    """endotracheal tube | central line | picc | pacemaker | ecg leads | sternal wires | nasogastric tube | chest tube"""
    side: str
    """right | left | none"""
    number: float
    """cm above the carina for an endotracheal tube, otherwise a small variation of the course, 0..1"""

    @property
    def has_air_in_the_wall(self) -> bool:
        """Subcutaneous emphysema around a chest tube."""
        return self.kind == "chest tube" and self.number > 0.5


def sample(rng: np.random.Generator, patient: Patient, view: str, findings: Sequence[Finding]) -> list[Device]:
    """What this examination shows; the portable film of a sick patient shows most."""
    names = {finding.name for finding in findings}
    bedside = view == "AP"
    ill = bedside and (bool(names & {"edema", "pneumothorax", "pneumonia", "pleural effusion"}) or rng.random() < 0.2)
    old = np.random.default_rng(patient.seed + 1)  # implants stay from study to study
    devices = []
    if old.random() < 0.10 and patient.age > 45:
        devices.append(Device("sternal wires", "none", float(old.random())))
    if old.random() < (0.16 if "cardiomegaly" in names else 0.05) and patient.age > 50:
        devices.append(Device("pacemaker", "left" if old.random() < 0.8 else "right", float(old.random())))
    if ill and rng.random() < 0.3:
        devices.append(Device("endotracheal tube", "none", float(rng.uniform(2.2, 6.0))))
        if rng.random() < 0.8:
            devices.append(Device("nasogastric tube", "none", float(rng.random())))
    if rng.random() < (0.4 if ill else 0.04):
        devices.append(Device("central line", "right" if rng.random() < 0.7 else "left", float(rng.random())))
    elif rng.random() < (0.15 if bedside else 0.03):
        devices.append(Device("picc", "right" if rng.random() < 0.6 else "left", float(rng.random())))
    for finding in findings:
        if finding.name == "pneumothorax" and rng.random() < 0.4:
            devices.append(Device("chest tube", finding.sites[0].side, float(rng.random())))
    if bedside and rng.random() < 0.5:
        devices.append(Device("ecg leads", "none", float(rng.random())))
    return devices


def draw(canvas: Canvas, shadow: Plane, devices: Sequence[Device]) -> None:
    """Add the devices to the exposed image."""
    if not devices:
        return
    for device in devices:
        if device.has_air_in_the_wall:
            _streaks(canvas, shadow, device)
    layer, pen = canvas.layer(2)
    for device in devices:
        _DRAWINGS[device.kind](canvas, pen, device)
    metal = canvas.plane(layer.reduce(2))
    shadow += metal * np.float32(0.62) * (np.float32(1.12) - shadow)


def _streaks(canvas: Canvas, shadow: Plane, device: Device) -> None:
    """Dark streaks in the soft tissue where the tube comes in."""
    a, s = canvas.anatomy, SIGN[device.side]
    layer, pen = canvas.layer()
    for k in range(9):
        y = a.top + 5.5 + 1.35 * k
        x = float(a.wall_x(y)) + 0.7 + 0.35 * (k % 3) + device.number
        path = [(s * x, y), (s * (x + 0.5), y + 1.4), (s * (x + 0.2 + 0.3 * (k % 2)), y + 2.8)]
        pen.line(canvas.px(smooth(path, 4)), fill=220, width=max(1, round(0.24 * canvas.px_per_cm)))
    shadow -= canvas.plane(layer, 0.1) * np.float32(0.16)


def _line(canvas: Canvas, pen: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], width_cm: float, level: int) -> None:
    pen.line(canvas.px(smooth(points, 8), 2), fill=level, width=max(1, round(width_cm * canvas.px_per_cm * 2)), joint="curve")


def _tracheal(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    cx, cy = canvas.anatomy.carina
    tip = cy - device.number
    top = canvas.anatomy.top - 9
    for dx, level in ((-0.38, 105), (0.38, 150)):
        _line(canvas, pen, [(cx + dx + 0.3, top), (cx + dx, (top + tip) / 2), (cx + dx, tip)], 0.13, level)
    _line(canvas, pen, [(cx - 0.38, tip), (cx + 0.38, tip + 0.45)], 0.12, 130)


def _gastric(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a = canvas.anatomy
    x, d = a.carina[0] + 0.4, a.dome_y["left"]
    path = [
        (x, a.top - 9),
        (x + 0.3, a.carina[1] - 3),
        (x - 0.1, a.carina[1] + 5),
        (x + 1.2, d),
        (x + 4.0, d + 4.0),
        (x + 6.5 - 3 * device.number, d + 7.0),
    ]
    _line(canvas, pen, path, 0.24, 120)
    _line(canvas, pen, path, 0.08, 190)


def _central(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a = canvas.anatomy
    cx, cy = a.carina
    tip = (cx - 2.2, cy + 1.0 + 3.0 * device.number)
    if device.side == "right":
        path = [(cx - 4.2, a.top - 5), (cx - 3.3, a.top + 0.5), (cx - 2.5, a.arch_y), tip]
    else:
        path = [(0.75 * a.half_width, a.top + 2.2), (0.4 * a.half_width, a.top + 1.6), (cx + 1.0, a.top + 3.4), (cx - 1.8, a.arch_y), tip]
    _line(canvas, pen, path, 0.2, 170)


def _picc(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a, s = canvas.anatomy, SIGN[device.side]
    cx, cy = a.carina
    start = [
        (s * 1.5 * a.half_width, a.top + 9),
        (s * 1.2 * a.half_width, a.top + 3.5),
        (s * 0.7 * a.half_width, a.top + 1.8),
        (s * 2.8, a.top + 2.8),
    ]
    _line(canvas, pen, [*start, (cx - 2.0, a.arch_y + 0.5), (cx - 2.2, cy + 1.5 + 2 * device.number)], 0.13, 150)


def _pacemaker(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a, s = canvas.anatomy, SIGN[device.side]
    cx, cy = a.carina
    x, y = s * 0.83 * a.half_width, a.top + 4.6
    angle = np.linspace(0, 2 * math.pi, 40)
    shape = np.stack(
        [x + 2.3 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.6, y + 1.9 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7], axis=1
    )
    heart_x, heart_y = float(a.heart[:, 0].max()) * 0.45, float(a.heart[:, 1].max()) - 2.2
    entry = [(x - s * 1.4, y - 1.8), (s * 0.5 * a.half_width, a.top + 1.4), (s * 2.6, a.top + 3.2)]
    _line(canvas, pen, [*entry, (cx - 1.9, a.arch_y + 1), (cx - 2.4, cy + 4), (cx - 0.5, heart_y - 2), (heart_x, heart_y)], 0.2, 215)
    if device.number > 0.35:
        _line(canvas, pen, [*entry, (cx - 1.6, a.arch_y + 1), (cx - 2.0, cy + 4.2), (cx - 2.6, cy + 6.0), (cx - 1.6, cy + 5.0)], 0.17, 205)
    pen.polygon(canvas.px(shape, 2), fill=215)
    pen.line(canvas.px(shape, 2), fill=250, width=max(1, round(0.25 * canvas.px_per_cm)))
    head = [(x - 1.4, y - 2.2), (x + 1.4, y - 2.2), (x + 1.2, y - 1.4), (x - 1.2, y - 1.4)]
    pen.polygon(canvas.px(head, 2), fill=160)


def _leads(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a, w = canvas.anatomy, canvas.anatomy.half_width
    j = device.number
    for x, y, dx, dy in ((-0.62, 2.5 + 2 * j, -1.0, -9), (0.66, 3.6 - j, 1.1, -9), (0.8, 17 + 2 * j, 1.5, 8)):
        px, py = x * w, a.top + y
        bow = (px + dx * w * 0.35, py + dy * 0.3 + 2 * j)
        _line(canvas, pen, [(px, py), bow, (dx * w * 1.4, py + dy)], 0.11, 120)
        (cx, cy), r = canvas.px([(px, py)], 2)[0], 0.5 * canvas.px_per_cm * 2
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=130, outline=185, width=max(1, round(r / 4)))


def _wires(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a = canvas.anatomy
    x0 = a.pose.turn * 0.6 + a.midline * 0.4
    t = np.linspace(0, 2 * math.pi, 16)
    for k in range(6):
        y = a.carina[1] - 2.6 + 2.5 * k
        tilt = math.sin(5 * device.number + 2.1 * k) * 0.18
        ring = np.stack([x0 + 0.75 * np.cos(t), y + tilt * np.cos(t) + 0.32 * np.sin(t)], axis=1)
        pen.line(canvas.px(ring, 2), fill=225, width=max(1, round(0.1 * canvas.px_per_cm * 2)))
        knot = canvas.px([(x0, y + 0.3), (x0 + 0.25, y + 0.75)], 2)
        pen.line(knot, fill=225, width=max(1, round(0.16 * canvas.px_per_cm * 2)))


def _chest(canvas: Canvas, pen: ImageDraw.ImageDraw, device: Device) -> None:
    a, s = canvas.anatomy, SIGN[device.side]
    wall = float(a.wall_x(a.top + 15.0))
    path = [
        (s * (wall + 5), a.top + 19.5),
        (s * wall, a.top + 15.5),
        (s * 0.72 * wall, a.top + 10.0),
        (s * (0.42 + 0.2 * device.number) * wall, a.top + 3.5),
    ]
    _line(canvas, pen, path, 0.62, 62)
    _line(canvas, pen, path, 0.1, 215)


_DRAWINGS = {
    "endotracheal tube": _tracheal,
    "nasogastric tube": _gastric,
    "central line": _central,
    "picc": _picc,
    "pacemaker": _pacemaker,
    "ecg leads": _leads,
    "sternal wires": _wires,
    "chest tube": _chest,
}
