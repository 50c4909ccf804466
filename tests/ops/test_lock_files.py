"""A lock file says which packages, by version and hash, and never where from."""

import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).resolve().parents[2] / ".ci" / "lock_files.py"))
faults, tracked = CHECK["faults"], CHECK["tracked"]


def test_the_lock_files_of_this_repository_are_clean():
    files = {path.name: path.read_text(encoding="utf-8") for path in tracked()}
    assert {"requirements.txt", "requirements-dev.txt"} <= set(files)
    assert {name: faults(text) for name, text in files.items()} == dict.fromkeys(files, [])
    assert all("--hash=sha256:" in text for text in files.values())


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("django @ https://example.org/django.whl", "url"),
        ("--index-url https://example.org/simple", "option"),
        ("--extra-index-url=example", "option"),
        ("-i mirror", "option"),
        ("--find-links wheels", "option"),
        ("--trusted-host example", "option"),
        ("django @ file:///somewhere/django.whl", "url"),
        ("django @ /somewhere/django.whl", "path"),
        ("-e ./package", "path"),
        ("/home/somebody/package", "path"),
    ],
)
def test_what_does_not_belong_in_a_lock_file_is_found(line, kind):
    assert faults(f"asgiref==3.13.0 \\\n    --hash=sha256:00\n{line}\n") == [(3, kind)]


def test_versions_markers_and_hashes_belong_in_a_lock_file():
    assert (
        faults("cffi==2.1.1 ; platform_python_implementation != 'PyPy' \\\n    --hash=sha256:0a\n    # via -r x\n")
        == []
    )
