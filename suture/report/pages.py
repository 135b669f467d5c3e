"""Pictures of the pages that models wrote, small enough that a report can carry all of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from suture.report.inputs import ReportInput
from suture.store import Store

Pictures = Mapping[str, Mapping[str, bytes]]
"""Arm -> task -> the page as it looked when it was opened: WebP."""

_FOLDER = "screenshots"
_START = "-start.png"
_SIZE = (480, 360)
"""Pixels of a picture at most."""


def pictures_of(store: Store, asked: ReportInput) -> Pictures:
    """Return the pictures of each arm whose benchmark had pages in it."""
    found = {
        arm.name: _pictures(store.load(arm.benchmark).path / _FOLDER)
        for arm in asked.arms
        if arm.benchmark and store.has(arm.benchmark)
    }
    return {name: pictures for name, pictures in found.items() if pictures}


def _pictures(folder: Path) -> dict[str, bytes]:
    return {path.name.removesuffix(_START): _small(path) for path in sorted(folder.glob(f"*{_START}"))}


def _small(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        image.thumbnail(_SIZE)
        content = io.BytesIO()
        image.convert("RGB").save(content, "WEBP", quality=70)
    return content.getvalue()
