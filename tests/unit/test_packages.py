from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from suture.errors import HostError, ToolError, TransientError
from suture.packages import Package, fetch_package
from suture.settings import settings

BACKEND = """
import pathlib
pathlib.Path(__file__).parent.joinpath("ran").touch()
pathlib.Path({mark!r}).touch()
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "tiny-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    return info.name
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows, and an empty cache."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    settings.cache_clear()
    return folder


def put_wheel(shelf: Path, payload: bytes = b"payload") -> Package:
    path = shelf / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/data.bin", payload)
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return pinned(path)


def put_sdist(shelf: Path, mark: Path) -> Package:
    """Write an sdist that leaves a mark when any code in it is run."""
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(mark=str(mark)),
    }
    path = shelf / "tiny-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"tiny-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return pinned(path)


def pinned(path: Path) -> Package:
    return Package("tiny", "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def kept() -> list[str]:
    """Names in the cache, but for locks."""
    return [path.name for path in (settings().cache / "packages").iterdir() if path.suffix != ".lock"]


def test_a_package_is_downloaded_once(shelf: Path) -> None:
    package = put_wheel(shelf)
    path = fetch_package(package)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256
    (shelf / package.file).unlink()
    assert fetch_package(package) == path
    assert kept() == [package.file]


def test_a_damaged_file_in_the_cache_is_downloaded_again(shelf: Path) -> None:
    package = put_wheel(shelf)
    path = fetch_package(package)
    path.write_bytes(path.read_bytes()[:-1])
    assert hashlib.sha256(fetch_package(package).read_bytes()).hexdigest() == package.sha256


def test_another_digest_is_refused_and_not_kept(shelf: Path) -> None:
    package = put_wheel(shelf)
    other = put_wheel(shelf, b"changed")
    with pytest.raises(ToolError) as caught:
        fetch_package(package)
    assert caught.value.expected == package.sha256
    assert other.sha256 in str(caught.value.found)
    assert kept() == []


def test_a_package_that_cannot_be_had_is_worth_another_try(shelf: Path) -> None:
    package = put_wheel(shelf)
    (shelf / package.file).unlink()
    with pytest.raises(TransientError, match="could not be downloaded") as caught:
        fetch_package(package)
    assert "tiny==1.0" in str(caught.value.found)
    assert kept() == []


def test_offline_uses_the_cache_and_nothing_else(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = put_wheel(shelf)
    monkeypatch.setenv("SUTURE_OFFLINE", "1")
    settings.cache_clear()
    with pytest.raises(HostError, match="SUTURE_OFFLINE"):
        fetch_package(package)
    monkeypatch.setenv("SUTURE_OFFLINE", "0")
    settings.cache_clear()
    path = fetch_package(package)
    monkeypatch.setenv("SUTURE_OFFLINE", "1")
    settings.cache_clear()
    assert fetch_package(package) == path


def test_a_source_distribution_is_fetched(shelf: Path, tmp_path: Path) -> None:
    put_wheel(shelf)
    package = put_sdist(shelf, tmp_path / "mark")
    assert package.is_sdist
    assert fetch_package(package).name == "tiny-1.0.tar.gz"


def test_no_code_of_a_changed_source_distribution_is_run(shelf: Path, tmp_path: Path) -> None:
    """pip runs an sdist's build backend for its metadata: not before its digest is known to be right."""
    mark = tmp_path / "mark"
    package = put_sdist(shelf, mark)
    changed = put_sdist(shelf, tmp_path / "longer-mark")
    with pytest.raises(ToolError, match="is not the file"):
        fetch_package(package)
    assert changed.sha256 != package.sha256
    assert not (tmp_path / "longer-mark").exists()
    assert kept() == []
