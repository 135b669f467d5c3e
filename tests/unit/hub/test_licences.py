from pathlib import Path

import pytest

from suture.hub.licences import licence_of_folder


def card(head: str) -> str:
    return f"---\n{head}\n---\n# A model\nlicense: in the text\n"


@pytest.mark.parametrize(
    ("readme", "licence_file", "expected"),
    [
        (card("license: apache-2.0"), "", "apache-2.0"),
        (card("tags: [merge]\nlicense: mit"), "Apache License\nVersion 2.0", "mit"),
        (card("license: [mit, apache-2.0]"), "", "mit, apache-2.0"),
        (card("license: other\nlicense_name: llama3.2"), "", "llama3.2"),
        (card("license: other"), "", "other"),
        (card("tags: [merge]"), " \n  Apache License\n   Version 2.0, January 2004", "apache-2.0"),
        ("# No head", "MIT License\n\nCopyright", "mit"),
        ("", "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "gpl-3.0"),
        ("", "GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007", "agpl-3.0"),
        (card("license: {a: b}"), "", "unknown"),
        (card("license: [unclosed"), "", "unknown"),
        (card("just a text"), "", "unknown"),
        (card(""), "", "unknown"),
        (card("when: 2026-13-45\nlicense: mit"), "", "unknown"),
        (card("[" * 5000), "", "unknown"),
        (card("a: &a [*a]\nlicense: mit"), "", "unknown"),
        (card("license: mit\nlicense: apache-2.0"), "", "unknown"),
        (card("license: mit") + "x" * 2**21, "", "mit"),
        ("", "All rights reserved.", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_licence_of_folder(tmp_path: Path, readme: str, licence_file: str, expected: str) -> None:
    if readme:
        (tmp_path / "README.md").write_text(readme)
    if licence_file:
        (tmp_path / "LICENSE").write_text(licence_file)
    assert licence_of_folder(tmp_path) == expected
