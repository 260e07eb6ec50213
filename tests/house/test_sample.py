"""packaging/tashi.toml is the one sample: every setting is in it, with the value that it has anyway."""

from __future__ import annotations

import tomllib
from typing import Any

from tashi import config
from tests.house.tree import ROOT

SAMPLE = ROOT / "packaging/tashi.toml"


def document() -> dict[str, Any]:
    return tomllib.loads(SAMPLE.read_text())


def test_the_sample_changes_nothing() -> None:
    assert config.parse(document(), "") == config.Config()


def test_the_sample_has_every_setting() -> None:
    sections: dict[str, Any] = document()
    networks = sections.pop("network")
    defaults = config.Config()._asdict()
    defaults.pop("file")
    for name, network in defaults.pop("networks").items():
        assert list(networks[name]) == list(network._asdict())
    assert {name: list(keys) for name, keys in sections.items()} == {
        name: list(section._asdict()) for name, section in defaults.items()
    }


def test_every_setting_is_explained() -> None:
    text = (ROOT / "man/tashi.toml.5").read_text()
    for section, keys in document().items():
        assert f"[{section}" in text
        for key in keys:
            assert key in text, f"tashi.toml(5) has nothing about [{section}] {key}"
