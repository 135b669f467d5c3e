from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from suture.gguf import sources

FILES = {
    "CMakeLists.txt": b"project(x)",
    "convert_hf_to_gguf.py": b"print()",
    "conversion/llama.py": b"",
    "gguf-py/gguf/__init__.py": b"",
    "gguf-py/tests/test.py": b"",
    "models/templates/a.jinja": b"{{ a }}",
    "models/vocab.gguf": b"big",
    "docs/a.md": b"big",
    "docstring.txt": b"",
}


def sdist(path: Path, files: dict[str, bytes], outer: str = "llama_cpp_python-0/vendor/llama.cpp") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {f"{outer}/{name}": content for name, content in files.items()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name in ("llama_cpp_python-0/README.md", "llama_cpp_python-0/vendor/other/x"):
            tar.addfile(tarfile.TarInfo(name))
    return path


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_build_gets_the_tree_without_what_it_does_not_need(tmp_path: Path) -> None:
    sources.unpack_tree(sdist(tmp_path / "s.tar.gz", FILES), tmp_path / "tree")
    assert names(tmp_path / "tree") == {name for name in FILES if not name.startswith(("docs/", "models/"))}
    assert (tmp_path / "tree" / "CMakeLists.txt").read_bytes() == b"project(x)"


def test_the_converter_gets_its_scripts_and_templates_only(tmp_path: Path) -> None:
    archive = sdist(tmp_path / "s.tar.gz", FILES)
    sources.unpack(archive, tmp_path / "c", only=("convert_hf_to_gguf.py", "gguf-py/gguf", "models/templates"))
    expected = {"convert_hf_to_gguf.py", "gguf-py/gguf/__init__.py", "models/templates/a.jinja"}
    assert names(tmp_path / "c") == expected


def test_what_a_killed_unpacking_left_is_not_taken_over(tmp_path: Path) -> None:
    left = tmp_path / "tree.part"
    left.mkdir()
    (left / "stray").write_text("half")
    sources.unpack_tree(sdist(tmp_path / "s.tar.gz", FILES), tmp_path / "tree")
    assert "stray" not in names(tmp_path / "tree")
    assert not left.exists()


def test_an_archive_that_ends_early_leaves_no_folder(tmp_path: Path) -> None:
    archive = sdist(tmp_path / "s.tar.gz", FILES)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises((EOFError, tarfile.ReadError)):
        sources.unpack_tree(archive, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_only_files_below_the_target_are_written(tmp_path: Path) -> None:
    archive = tmp_path / "s.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("x/vendor/llama.cpp/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        for member in (
            link,
            tarfile.TarInfo("x/vendor/llama.cpp/../../../out"),
            tarfile.TarInfo("x/vendor/llama.cpp/in"),
        ):
            tar.addfile(member)
    sources.unpack_tree(archive, tmp_path / "tree")
    assert names(tmp_path) == {"s.tar.gz", "tree/in"}
