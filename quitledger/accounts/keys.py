"""Keys that encrypt identity numbers and find them again. They live outside the database (design.md §5).

Whoever has a copy of the database without these keys can neither read an identity number nor try out candidates.
Whoever loses the keys has lost the identity numbers: the file belongs in the backup, apart from the database's.

    {"current": "k1", "keys": {"k1": {"encrypt": base64 of 32 bytes, "hash": base64 of 32 bytes}}}

A new key is added beside the old ones and named `current`; rows keep the id of the key that encrypted them, so old keys
stay. The hash key is the current key's: give a new key the same `hash`, or every stored hash must be computed again.
"""

import base64
import binascii
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quitledger.audit.private_files import write_new

_KEY_BYTES = 32
_NONCE_BYTES = 12  # NIST SP 800-38D: random nonces of 96 bits, good for 2^32 encryptions with one key
_TAG_BYTES = 16
_HASH_DOMAIN = b"quitledger keyed hash v1\x00"


class KeysUnavailable(Exception):
    """The keys cannot be used; the message says in one sentence why and what to do. It never holds a key."""


class KeyMissing(Exception):
    """A row was encrypted with a key that is not among the keys loaded."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"金鑰檔裡沒有金鑰 {key_id}。請還原含有這把金鑰的金鑰檔。")
        self.key_id = key_id


class Tampered(Exception):
    """What was to be decrypted is not what was encrypted with this key for this record."""

    def __init__(self) -> None:
        super().__init__("加密的資料與金鑰或所屬紀錄不符，無法解密。")


class Keys:
    """A set of keys: encrypts with the current one, decrypts with any. Safe to share between threads."""

    def __init__(self, current: str, keys: Mapping[str, tuple[bytes, bytes]]) -> None:
        """`keys`: key id → (key that encrypts, key that hashes), 32 bytes each; `current` is one of the ids."""
        self.current = current
        self.ids = sorted(keys)
        # Building an AESGCM costs more than using it, and a page of visits decrypts fifty times.
        self._ciphers = {key_id: AESGCM(encrypting) for key_id, (encrypting, _) in keys.items()}
        self._hash_key = keys[current][1]

    def encrypt(self, plain: str, *, about: bytes = b"") -> tuple[bytes, str]:
        """`plain` encrypted with AES-256-GCM under the current key: (nonce + ciphertext + tag, key id).

        `about` is not hidden but must be the same when decrypting: name the record, and its token fits no other.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, plain.encode(), about), self.current

    def decrypt(self, token: bytes | memoryview, key_id: str, *, about: bytes = b"") -> str:
        """What `encrypt` was given. Raises KeyMissing for an unknown key id, Tampered where anything was changed."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(key_id)
        token = bytes(token)
        if len(token) < _NONCE_BYTES + _TAG_BYTES:
            raise Tampered
        try:
            return cipher.decrypt(token[:_NONCE_BYTES], token[_NONCE_BYTES:], about).decode()
        except InvalidTag:
            raise Tampered from None

    def keyed_hash(self, text: str) -> bytes:
        """HMAC-SHA256 (32 bytes) of `text` under the current hash key: equal texts, and only they, have equal hashes.

        The caller brings the text into its one canonical form first ("kind:country:number").
        """
        return hmac.digest(self._hash_key, _HASH_DOMAIN + text.encode(), "sha256")


@cache
def keys() -> Keys:
    """The keys of this installation, read once: QUITLEDGER_KEYS (the JSON itself), else the file at `keys_path()`.

    Raises KeysUnavailable where they are missing, broken or readable by others.
    """
    text = os.environ.get("QUITLEDGER_KEYS")
    if text:
        return _parse(text, where="環境變數 QUITLEDGER_KEYS")
    path = keys_path()
    return _parse(_read_private(path), where=f"金鑰檔 {path}")


def keys_path() -> Path:
    """Where the keys file is: QUITLEDGER_KEYS_FILE, else keys.json in the data folder (QUITLEDGER_DATA, else .data)."""
    named = os.environ.get("QUITLEDGER_KEYS_FILE")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("QUITLEDGER_DATA") or checkout / ".data") / "keys.json"


def create_keys_file(path: Path) -> None:
    """Writes a file with one new random key, mode 0600, whole or not at all. Makes the folder where it is missing.

    Raises FileExistsError where something is at `path` already: keys are never overwritten.
    """
    pair = {use: base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() for use in ("encrypt", "hash")}
    write_new(path, json.dumps({"current": "k1", "keys": {"k1": pair}}, indent=2).encode())


def _read_private(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeysUnavailable(f"金鑰檔 {path} 的權限讓其他使用者也能存取。請執行 chmod 600 {path}。")
            return file.read()
    except FileNotFoundError:
        raise KeysUnavailable(f"找不到金鑰檔 {path}。請還原備份的金鑰檔；全新安裝才建立新的。") from None
    except OSError as error:
        raise KeysUnavailable(f"讀不到金鑰檔 {path}：{error.strerror}。") from None
    except UnicodeDecodeError:
        raise KeysUnavailable(f"金鑰檔 {path} 不是文字檔。請還原備份的金鑰檔。") from None


def _parse(text: str, *, where: str) -> Keys:
    """The keys in `text`. Errors name the place, never the content; the decoder's own, which repeat it, are cut off."""
    broken = f"{where} 的內容不對"
    try:
        data: Any = json.loads(text)
    except ValueError:
        raise KeysUnavailable(f"{broken}：不是 JSON。請還原備份。") from None
    try:
        pairs = {key_id: (_key(pair["encrypt"]), _key(pair["hash"])) for key_id, pair in data["keys"].items()}
        current = data["current"]
    except (KeyError, TypeError, AttributeError):
        raise KeysUnavailable(f"{broken}：缺少 current、keys、encrypt 或 hash。請還原備份。") from None
    except ValueError:
        raise KeysUnavailable(f"{broken}：每把金鑰應為 base64 編碼的 {_KEY_BYTES} 位元組。請還原備份。") from None
    if not isinstance(current, str) or current not in pairs:
        raise KeysUnavailable(f"{broken}：current 指名的金鑰不在 keys 裡。請還原備份。")
    return Keys(current, pairs)


def _key(text: str) -> bytes:
    """Raises ValueError unless `text` is 32 bytes in base64 (binascii.Error is one)."""
    key = base64.b64decode(text, validate=True)
    if len(key) != _KEY_BYTES:
        raise binascii.Error
    return key
