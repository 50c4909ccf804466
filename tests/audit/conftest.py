"""A database with checkpoints, its anchor and key, and a way past every trigger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quitledger.audit.checkpoints import Made, make_checkpoint
from quitledger.audit.signing import Signer, create_signing_key, load_signer
from quitledger.audit.verification import Report, verify


class Ledger:
    """A committed database as its owner sees it, with an anchor of its own."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.database, self.anchor = database, folder / "anchor.txt"
        key = folder / "checkpoint-key.pem"
        if not key.exists():
            create_signing_key(key)
        self.signer: Signer = load_signer(key)

    def checkpoint(self) -> Made:
        with self.database.as_owner():
            return make_checkpoint(self.signer, self.anchor)

    def verify(self) -> Report:
        with self.database.as_owner():
            return verify(self.anchor, {self.signer.key_id: self.signer.public})

    def found(self) -> list[tuple[str, str, int]]:
        """What a verification says is wrong: fault, table, row or number of the checkpoint."""
        return [(one.fault.value, one.table, one.first if one.table else one.number) for one in self.verify().findings]

    @property
    def lines(self) -> list[str]:
        return self.anchor.read_text().splitlines()

    @contextmanager
    def tampering(self) -> Iterator[psycopg.Connection]:
        """The superuser, for whom no trigger fires and no key is checked."""
        cluster = self.database.cluster
        with psycopg.connect(cluster.ensure_running().url(self.database.name), autocommit=True) as superuser:
            superuser.execute("SET session_replication_role = replica")
            yield superuser


@pytest.fixture
def ledger(committed: Any, tmp_path: Path) -> Ledger:
    return Ledger(committed, tmp_path)
