"""A CLALA-Net so small that it trains in seconds, and the boxes of the images that it learns from."""

BOXES = {"left lung": (42.0, 10.0, 76.0, 80.0), "right lung": (5.0, 10.0, 38.0, 80.0), "cardiac silhouette": (20.0, 40.0, 65.0, 80.0)}
SIZES = {
    "crop_px": 32,
    "crop_px_stage2": 32,
    "patch_px": 8,
    "width": 32,
    "encoder_layers": 1,
    "text_layers": 1,
    "decoder_layers": 1,
    "max_tokens": 16,
    "projection": 16,
    "classifier_px": 64,
    "classifier_width": 8,
    "classifier_epochs": 1,
    "detector_px": 64,
    "detector_width": 8,
    "detector_modes": 4,
    "detector_epochs": 1,
    "warmup_steps": 1,
}
TINY = ";".join(f"{name}={value}" for name, value in SIZES.items())
