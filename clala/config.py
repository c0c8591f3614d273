"""Every size and every ablation switch of CLALA-Net, once; and the recipe by which it is trained.

Two presets. ``paper`` is the model of Noh, Pi, Lee: Hybrid framework for lesion-aware, clinically coherent chest X-ray report generation
(Scientific Reports 16:4645, 2026, https://doi.org/10.1038/s41598-025-34799-2). ``demo`` is the same classes, small enough to be trained on two
CPU cores in a quarter of an hour. The paper leaves much unsaid; what we chose in its stead is named D1 to D23 and said where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, get_type_hints


class BadConfig(ValueError):
    """A setting that does not exist, has the wrong type, or contradicts another; the message names it and what is allowed."""


@dataclass(frozen=True)
class CLALAConfig:
    """What the network is. Constructors take plain values from here; nothing else in the package has a size of its own."""

    preset: str = "paper"
    """where the values started from"""

    roi_set: str = "paper"
    """paper = the 11 regions of Sect. 4.1; all = the 29 of Chest ImaGenome (Table 5)"""
    crop_px: int = 224
    """side of a region crop in stage 1"""
    crop_px_stage2: int = 384
    """side of a region crop in stage 2 and at generation (Table 5: 256 or 384)"""
    crop_margin: float = 0.0
    """share of the box added on each side before cutting; room for jitter in training, cut away again at generation"""

    patch_px: int = 16
    """side of a ViT patch"""
    stem: str = "patch"
    """patch = one linear map per patch (ViT); conv = a few strided convolutions, which small data need (Xiao et al., NeurIPS 2021)"""
    channels: int = 3
    """equal channels that the grey image is repeated to"""
    pixel_mean: float = 0.5
    """subtracted from pixels in [0, 1]; 0.5 is DeiT/augreg's own"""
    pixel_std: float = 0.5
    """what they are divided by then"""
    vit: str = "deit_base_patch16_224"
    """timm's name of the published ImageNet ViT that training may start from (D2)"""

    width: int = 768
    """d: of tokens, text and attention alike"""
    heads: int = 12
    """h: attention heads, everywhere"""
    encoder_layers: int = 12
    """blocks of the ROI encoder"""
    text_layers: int = 12
    """blocks of the text encoder"""
    decoder_layers: int = 12
    """blocks of the report decoder"""
    bert: str = "bert-base-uncased"
    """published BERT that text encoder and decoder start from, and whose vocabulary is used; empty = own vocabulary, random start"""
    vocabulary_size: int = 30523
    """words known; bert-base-uncased has 30,522 and [DEC] makes one more. Set from the text where the vocabulary is our own"""
    text_init: float = 0.02
    """spread of the random weights of both BERTs; BERT's own 0.02 belongs to d = 768. At d = 128 it makes all 14 lesion names the same vector (cosine
    0.9997), so that LCA has nothing to tell apart for many epochs"""
    max_tokens: int = 128
    """longest sentence, in tokens with both ends (D9)"""
    dropout: float = 0.1
    """in text encoder, decoder and LCA"""

    word_dropout: float = 0.0
    """share of the words so far that the decoder does not see in training, so that it asks the region rather than guess from its own words (Bowman et
    al., CoNLL 2016); the paper has none, a thousand images need it"""

    lca: bool = True
    """lesion cross-attention on; off = F' is F (base and LLCL-only rows of Tables 2b and 3)"""
    lca_query: str = "tokens"
    """tokens = every token asks (D4); cls = the literal N x d reading, one memory vector per region"""
    lca_layers: int = 1
    """cross-attention blocks (D3)"""
    lca_ffn: bool = False
    """a feed-forward after each block (D3: none)"""
    weight_present: float = 0.9
    """E2: what a lesion's text vector is multiplied by where the lesion is present"""
    weight_absent: float = 0.1
    """E2: and where it is absent"""
    soft_weights: bool = False
    """weights slide between the two with the predicted probability, not only at the threshold (D11)"""

    llcl: bool = True
    """lesion-level contrastive loss on"""
    llcl_by_region: bool = True
    """pairs agree in lesion and region; False = lesion presence alone, the paper's CheXbert variant"""
    llcl_normal: bool = True
    """regions without lesion pair with each other, as a class "no lesion" (D5)"""
    compat: str = "table"
    """which lesion can be in which region: table (D7) or side_only"""
    itcl_symmetric: bool = False
    """average of image-to-text and text-to-image; the paper has the first alone (D8)"""
    temperature: float = 0.07
    """tau of both contrastive losses (BLIP's initial value; the paper names none)"""
    projection: int = 256
    """width of the contrastive space"""

    classifier: str = "small"
    """image encoder of the lesion classifier: small, or biovil_t"""
    classifier_px: int = 448
    """side of the padded square image that the classifier sees"""
    classifier_frame: str = "pad"
    """how the image becomes that square: pad = whole, aspect kept; centre_crop = BioViL-T's own, which loses the angles of wide images"""
    classifier_width: int = 32
    """channels of the small classifier's first stage; doubled three times"""
    classifier_hidden: int = 512
    """width of the hidden layer behind BioViL-T"""
    detector: str = "shape"
    """who finds the regions: yolov10 (the paper's; needs ultralytics), or shape, a mean anatomy bent to the image"""
    yolo_size: str = "m"
    """n | s | m | b | l | x"""
    yolo_px: int = 640
    """side of the square that YOLO sees"""
    yolo_confidence: float = 0.01
    """boxes below are no candidates; low, because the best of each region is taken (D12)"""
    detector_px: int = 128
    """side of the padded square image that the shape detector sees"""
    detector_width: int = 16
    """channels of its first stage"""
    detector_modes: int = 24
    """how many ways of varying around the mean anatomy it knows"""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = hints[field.name]
            if isinstance(value, int) and not isinstance(value, bool) and wanted is float:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not wanted:
                raise BadConfig(f"{field.name} is {value!r}; it must be of type {wanted.__name__}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadConfig(f"{name} is {getattr(self, name)!r}; it must be one of: {', '.join(allowed)}")
        for name in ("crop_px", "crop_px_stage2"):
            if getattr(self, name) % self.patch_px:
                raise BadConfig(f"{name} is {getattr(self, name)}; it must be a multiple of patch_px, {self.patch_px}")
        if self.width % self.heads:
            raise BadConfig(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        for name in ("width", "heads", "encoder_layers", "text_layers", "decoder_layers", "lca_layers", "vocabulary_size", "projection", "patch_px"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.temperature <= 0:
            raise BadConfig(f"temperature is {self.temperature}; it must be above 0")
        if self.max_tokens < 3:
            raise BadConfig(f"max_tokens is {self.max_tokens}; it must be at least 3: begin, one word, end")


_CHOICES: dict[str, tuple[str, ...]] = {
    "roi_set": ("paper", "all"),
    "stem": ("patch", "conv"),
    "lca_query": ("tokens", "cls"),
    "compat": ("table", "side_only"),
    "classifier": ("small", "biovil_t"),
    "classifier_frame": ("pad", "centre_crop"),
    "detector": ("shape", "yolov10"),
    "yolo_size": ("n", "s", "m", "b", "l", "x"),
}


@dataclass(frozen=True)
class Recipe:
    """How it is trained (spec 2.6, D10). The numbers of ``paper`` are the paper's where it has any."""

    batch: int = 24
    """region samples per gradient step (D6)"""
    epochs_stage1: int = 10
    """all modules; 10 + 5 is our reading of "15 epochs" (D10)"""
    epochs_stage2: int = 5
    """LCA and decoder alone"""
    learning_rate_stage1: float = 1e-4
    """highest, after the warm-up"""
    decoder_rate: float = 1.0
    """what that of LCA and decoder is multiplied by in stage 1"""
    learning_rate_stage2: float = 1e-5
    """first, falling to 0 by a cosine"""
    schedule_stage1: str = "decay"
    """decay = times 0.9 per epoch (BLIP's pre-training); cosine = to the floor, better for a short run"""
    warmup_steps: int = 3000
    """steps from the floor to the full rate in stage 1"""
    learning_rate_floor: float = 1e-6
    """never below, in stage 1"""
    weight_decay: float = 0.05
    """of AdamW, on all parameters"""
    clip: float = 1.0
    """largest gradient norm"""
    accumulate: int = 1
    """batches per gradient step"""
    jitter: float = 0.0
    """crop windows move and stretch by up to this share of the crop; at most the crop margin is of use"""
    brightness: float = 0.0
    """contrast and brightness vary by up to this share"""
    by_length: bool = False
    """a batch takes sentences of about one length, which saves half of the decoder's work on a CPU"""
    normal_share: float = 1.0
    """share of lesion-free regions that an epoch draws; 1 = all"""
    repeat_below: float = 0.0
    """regions with a lesion that fewer than this share of them carry are repeated within an epoch, sqrt(this / share) times; 0 = never"""
    best_stage2: str = "lesion_f1"
    """which epoch of stage 2 stays: the one with the best macro lesion_f1 of what is written about validation images, or with the lowest ce (D10)"""
    validation_images: int = 500
    """so many validation images are written about after each epoch of stage 2"""
    classifier_epochs: int = 6
    """passes over the images (RaDialog's classifier: 6)"""
    classifier_batch: int = 64
    """images per step"""
    classifier_learning_rate: float = 5e-5
    """of AdamW"""
    detector_epochs: int = 20
    """passes over the images"""
    detector_learning_rate: float = 1e-3
    """of AdamW"""

    def __post_init__(self) -> None:
        if self.best_stage2 not in ("lesion_f1", "ce"):
            raise BadConfig(f"best_stage2 is {self.best_stage2!r}; it must be one of: lesion_f1, ce")
        for name in ("batch", "accumulate", "classifier_batch", "validation_images"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; it must be at least 1")


CONFIGS: dict[str, CLALAConfig] = {
    "paper": CLALAConfig(classifier="biovil_t", detector="yolov10"),
    "demo": CLALAConfig(
        preset="demo",
        crop_px=96,
        crop_px_stage2=96,
        crop_margin=0.08,
        stem="conv",
        channels=1,
        vit="",
        width=128,
        heads=4,
        encoder_layers=3,
        text_layers=2,
        decoder_layers=3,
        bert="",
        vocabulary_size=1000,
        text_init=0.05,
        max_tokens=64,
        projection=64,
        classifier_px=224,
        classifier_width=24,
    ),
}

RECIPES: dict[str, Recipe] = {
    "paper": Recipe(),
    "demo": Recipe(
        # Stage 2 is where the decoder learns to say what LCA tells it: the names of lesions stand still there, the rate may be 3e-3 (in stage 1 the
        # text encoder gives every sentence the same vector at 2e-3), and a step costs half: no comparisons, no gradient in the encoder. Rare lesions
        # are repeated and normal regions thinned: else those that few images have are hardly ever said, even of images learnt from.
        batch=32,
        epochs_stage1=4,
        epochs_stage2=6,
        learning_rate_stage1=1e-3,
        learning_rate_stage2=3e-3,
        schedule_stage1="cosine",
        by_length=True,
        warmup_steps=100,
        detector_epochs=12,
        jitter=0.08,
        normal_share=0.4,
        repeat_below=0.3,
        brightness=0.2,
        classifier_epochs=20,
        classifier_batch=24,
        classifier_learning_rate=2e-3,
    ),
}


Settings = TypeVar("Settings", CLALAConfig, Recipe)


def preset(name: str, **changes: Any) -> CLALAConfig:
    """The configuration of that name, with some settings changed.

    Raises BadConfig for an unknown preset or setting.
    """
    if name not in CONFIGS:
        raise BadConfig(f"no preset named {name!r}; known: {', '.join(CONFIGS)}")
    return _changed(CONFIGS[name], changes)


def recipe(name: str, **changes: Any) -> Recipe:
    """The training recipe of that name, with some settings changed."""
    if name not in RECIPES:
        raise BadConfig(f"no preset named {name!r}; known: {', '.join(RECIPES)}")
    return _changed(RECIPES[name], changes)


def with_settings(name: str, settings: Mapping[str, Any]) -> tuple[CLALAConfig, Recipe]:
    """Configuration and recipe of a preset with settings changed, whichever of the two they belong to; words are read as the setting's own type.

    Raises BadConfig for a name that is in neither, or a word that is no value of its type.
    """
    config, how = preset(name), recipe(name)
    sizes, steps = {field.name for field in fields(CLALAConfig)}, {field.name for field in fields(Recipe)}
    if unknown := [key for key in settings if key not in sizes | steps]:
        raise BadConfig(f"no setting named {', '.join(map(repr, unknown))}; known: {', '.join(sorted(sizes | steps))}")
    changed = {key: _typed(key, value, getattr(config if key in sizes else how, key)) for key, value in settings.items()}
    return (
        _changed(config, {key: value for key, value in changed.items() if key in sizes}),
        _changed(how, {key: value for key, value in changed.items() if key in steps}),
    )


def read_settings(text: str) -> dict[str, str]:
    """``NAME=VALUE;NAME=VALUE`` as a person types it, for ``with_settings``. Raises BadConfig for a word without a value, or a name that is twice."""
    found: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in text.split(";"))):
        name, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise BadConfig(f"cannot read the setting {word!r}; write NAME=VALUE;NAME=VALUE")
        if name in found:
            raise BadConfig(f"the setting {name!r} is given twice, as {found[name]} and as {value}; give it once")
        found[name] = value
    return found


def _typed(key: str, value: Any, current: Any) -> Any:
    if not isinstance(value, str) or isinstance(current, str):
        return value
    if isinstance(current, bool):
        if value.lower() not in ("true", "false"):
            raise BadConfig(f"{key} is {value!r}; it must be true or false")
        return value.lower() == "true"
    try:
        return type(current)(value)
    except ValueError:
        raise BadConfig(f"{key} is {value!r}; it must be of type {type(current).__name__}") from None


def from_json(values: Mapping[str, Any]) -> CLALAConfig:
    """The configuration that ``to_json`` wrote. A missing setting is an error: a silent default would be another network."""
    known = {field.name for field in fields(CLALAConfig)}
    if missing := sorted(known - values.keys()):
        raise BadConfig(f"the stored configuration lacks {', '.join(missing)}; it was written by another version of clala")
    return _changed(CLALAConfig(), values)


def to_json(config: CLALAConfig | Recipe) -> dict[str, Any]:
    """Plain values, in the order of the fields."""
    return asdict(config)


def _changed(config: Settings, changes: Mapping[str, Any]) -> Settings:
    known = [field.name for field in fields(config)]
    if unknown := [name for name in changes if name not in known]:
        raise BadConfig(f"no setting named {', '.join(map(repr, unknown))} in {type(config).__name__}; known: {', '.join(known)}")
    return replace(config, **changes)
