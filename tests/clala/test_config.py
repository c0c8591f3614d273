from __future__ import annotations

from dataclasses import replace

import pytest

from clala.config import BadConfig, CLALAConfig, from_json, preset, recipe, to_json, with_settings


def test_the_paper_preset_has_the_papers_sizes_and_rates() -> None:
    config, how = preset("paper"), recipe("paper")
    assert (config.width, config.heads, config.encoder_layers, config.crop_px, config.crop_px_stage2) == (768, 12, 12, 224, 384)
    assert (how.batch, how.epochs_stage1 + how.epochs_stage2, how.learning_rate_stage1, how.learning_rate_stage2, how.weight_decay) == (
        24,
        15,
        1e-4,
        1e-5,
        0.05,
    )


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(BadConfig, match=r"no preset named 'tiny'; known: paper, demo"):
        preset("tiny")


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(BadConfig, match=r"no setting named 'lcaa'.*lca, "):
        with_settings("demo", {"lcaa": "false"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_px": 100}, "crop_px is 100; it must be a multiple of patch_px, 16"),
        ({"width": 130}, "width is 130; it must be a multiple of heads, 4"),
        ({"lca_query": "all"}, "lca_query is 'all'; it must be one of: tokens, cls"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be above 0"),
        ({"lca": 1}, "lca is 1; it must be of type bool"),
        ({"decoder_layers": 0}, "decoder_layers is 0; it must be at least 1"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        preset("demo", **changes)


def test_words_are_read_as_the_settings_own_type() -> None:
    config, how = with_settings("demo", {"lca": "false", "batch": "12", "jitter": "0"})
    assert (config.lca, how.batch, how.jitter) == (False, 12, 0.0)
    with pytest.raises(BadConfig, match=r"batch is 'many'; it must be of type int"):
        with_settings("demo", {"batch": "many"})
    with pytest.raises(BadConfig, match=r"lca is 'maybe'; it must be true or false"):
        with_settings("demo", {"lca": "maybe"})


def test_a_configuration_comes_back_from_json_equal() -> None:
    config = replace(CLALAConfig(), llcl=False, roi_set="all")
    assert from_json(to_json(config)) == config


def test_a_stored_configuration_that_lacks_a_setting_is_refused() -> None:
    values = to_json(CLALAConfig())
    del values["lca_query"]
    with pytest.raises(BadConfig, match=r"lacks lca_query"):
        from_json(values)
