"""Which table of models is for a switch, by the objects that it has and by what it calls its kind."""

from __future__ import annotations

from importlib import resources

import pytest

from zoni.switch.models import fitting, read_models

OURS = read_models(resources.files("zoni.switch").joinpath("switch_models.toml").read_text())


@pytest.mark.parametrize(
    ("there", "system", "names"),
    [
        (["1.3.6.1.4.1.89.2.4.0"], "1.3.6.1.4.1.9.6.1.83.28.1", ("radlan",)),
        (["1.3.6.1.4.1.89.2.4.0"], "", ("radlan",)),
        ([], "1.3.6.1.4.1.9.1.1208", ("cisco-copy",)),
        ([], "1.3.6.1.4.1.9.12.3.1.3", ()),
        ([], "1.3.6.1.4.1.8072.3.2.10", ()),
        ([], "", ()),
    ],
)
def test_a_model_is_known_by_its_objects_or_its_kind(there: list[str], system: str, names: tuple[str, ...]) -> None:
    assert fitting(OURS, there, system) == names
