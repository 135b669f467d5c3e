from __future__ import annotations

import importlib.util

import pytest

from suture.bench.outside import lm_eval
from suture.bench.outside.extra import require
from suture.errors import HostError


def test_what_is_installed_is_not_asked_for() -> None:
    require("pytest")


def test_a_missing_package_is_named_with_the_way_out() -> None:
    with pytest.raises(HostError, match=r"no_such_package is not installed") as error:
        require("no_such_package")
    assert "suture[outside]" in str(error.value.way_out)


def test_without_the_harness_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(HostError, match=r"lm_eval is not installed"):
        lm_eval.evaluate("model.gguf", lm_eval.Asked(("gsm8k",)))
