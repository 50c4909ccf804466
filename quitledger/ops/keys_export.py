"""The keys, exported once under a passphrase and kept apart from every backup; and which keys a database needs."""

import base64
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from django.db import connection

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.keys import keys, keys_path
from quitledger.accounts.scope import scoped
from quitledger.audit import journal
from quitledger.audit.private_files import write_new
from quitledger.audit.signing import signing_key_path

from .audit_command import signer
from .faults import Fault

_ABOUT = b"quitledger keys export v1"
_SALT_BYTES, _NONCE_BYTES = 16, 12
_COST = {"n": 2**17, "r": 8, "p": 1}  # OWASP's recommendation for scrypt: 128 MiB, about half a second


def export_keys(path: Path, passphrase: str) -> list[str]:
    """Write the keys and the checkpoint key into a new file, encrypted; returns the ids of the keys in it.

    Journaled: a backup is complete only once its keys were exported. Raises FileExistsError, Fault.
    """
    signs = signer()
    content = {
        "keys": os.environ.get("QUITLEDGER_KEYS") or keys_path().read_text(),
        "checkpoint_key": signing_key_path().read_text(),
    }
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_derived(passphrase, salt)).encrypt(nonce, json.dumps(content).encode(), _ABOUT)
    parts = {"salt": salt, "nonce": nonce, "sealed": sealed}
    write_new(path, json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()}).encode())
    ids = keys().ids
    with scoped(SYSTEM):
        journal.record("keys.export", record_type="keys", fields=[*ids, signs.key_id])
    return ids


def import_keys(path: Path, passphrase: str) -> list[Path]:
    """Put exported keys in their places, where there are none yet; returns the files written. Raises Fault."""
    try:
        parts = {name: base64.b64decode(part, validate=True) for name, part in json.loads(path.read_text()).items()}
        plain = AESGCM(_derived(passphrase, parts["salt"])).decrypt(parts["nonce"], parts["sealed"], _ABOUT)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise Fault(f"{path} 不是匯出的金鑰。", f"{path} holds no exported keys.") from None
    except InvalidTag:
        raise Fault("通行語不對，或檔案損壞。", "The passphrase is wrong, or the file is damaged.") from None
    content = json.loads(plain)
    places = {keys_path(): content["keys"], signing_key_path(): content["checkpoint_key"]}
    for place, text in places.items():
        if place.exists() and place.read_text() != text:
            raise Fault(f"{place} 已有別的金鑰，沒有覆寫。", f"{place} holds other keys and was not replaced.")
    written = [place for place in places if not place.exists()]
    for place in written:
        write_new(place, places[place].encode())
    return written


def needed_key_ids() -> set[str]:
    """The ids of the keys without which something in this database cannot be read. As the owner."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT identity_key_id FROM cases_person UNION SELECT identity_key_id FROM cases_person_history"
            " UNION SELECT identity_key_id FROM institutions_staffmember UNION"
            " SELECT identity_key_id FROM institutions_staffmember_history UNION"
            " SELECT key_id FROM corrections_evidencefile UNION SELECT key_id FROM corrections_askedidentity UNION"
            " SELECT key_id FROM batches_batch UNION SELECT key_id FROM batches_batchfile UNION"
            " SELECT key_id FROM batches_row UNION SELECT key_id FROM batches_comparison UNION"
            " SELECT split_part(coalesce(data->>'secret', data->>'seed'), ':', 1) FROM mfa_authenticator"
            " WHERE type IN ('totp', 'recovery_codes')"
        )
        return {key_id for (key_id,) in cursor.fetchall() if key_id}


def exported_key_ids() -> set[str]:
    """The ids of the keys that were exported, by the journal."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT unnest(fields) FROM audit_journal WHERE action = 'keys.export'")
        return {key_id for (key_id,) in cursor.fetchall()}


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, **_COST).derive(passphrase.encode())
