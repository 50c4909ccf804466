"""Keys that encrypt identity numbers and find them again. They live outside the database (design.md §5).

Whoever has a copy of the database without these keys can neither read an identity number nor try out candidates.
Whoever loses the keys has lost the identity numbers: the file belongs in the backup, apart from the database's.

    {"current": "k1", "keys": {"k1": {"encrypt": base64 of 32 bytes, "hash": base64 of 32 bytes}}}

A new key is added beside the old ones (`quitledger keys add`), known to every process before it is made the current one and
every row is encrypted and hashed anew under it (`quitledger keys rotate`). Rows say which key they are under; until the
last one is, they are looked for under every key. The file is read again when it was replaced.
"""

import base64
import binascii
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quitledger.audit.private_files import replace, write_new

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
        self.ids = list(keys)  # the oldest first
        # Building an AESGCM costs more than using it, and a page of visits decrypts fifty times.
        self._ciphers = {key_id: AESGCM(encrypting) for key_id, (encrypting, _) in keys.items()}
        # The current one first: under it new rows are hashed.
        self._hash_keys = [keys[current][1], *(hashing for key_id, (_, hashing) in keys.items() if key_id != current)]

    def encrypt(self, plain: str, *, about: bytes = b"") -> tuple[bytes, str]:
        """`plain` encrypted with AES-256-GCM under the current key: (nonce + ciphertext + tag, key id).

        `about` is not hidden but must be the same when decrypting: name the record, and its token fits no other.
        """
        return self.encrypt_bytes(plain.encode(), about=about)

    def encrypt_bytes(self, plain: bytes, *, about: bytes = b"") -> tuple[bytes, str]:
        """As `encrypt`, of what is no text: a file."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, plain, about), self.current

    def decrypt(self, token: bytes | memoryview, key_id: str, *, about: bytes = b"") -> str:
        """What `encrypt` was given. Raises KeyMissing for an unknown key id, Tampered where anything was changed."""
        return self.decrypt_bytes(token, key_id, about=about).decode()

    def decrypt_bytes(self, token: bytes | memoryview, key_id: str, *, about: bytes = b"") -> bytes:
        """What `encrypt_bytes` was given. Raises KeyMissing, Tampered."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(key_id)
        token = bytes(token)
        if len(token) < _NONCE_BYTES + _TAG_BYTES:
            raise Tampered
        try:
            return cipher.decrypt(token[:_NONCE_BYTES], token[_NONCE_BYTES:], about)
        except InvalidTag:
            raise Tampered from None

    def keyed_hash(self, text: str) -> bytes:
        """HMAC-SHA256 (32 bytes) of `text` under the current hash key: equal texts, and only they, have equal hashes.

        The caller brings the text into its one canonical form first ("kind:country:number").
        """
        return self.keyed_hashes(text)[0]

    def keyed_hashes(self, text: str) -> list[bytes]:
        """The keyed hashes of `text` under every key, the current one's first: what a row may be found by."""
        return [hmac.digest(key, _HASH_DOMAIN + text.encode(), "sha256") for key in self._hash_keys]


def keys() -> Keys:
    """The keys of this installation: QUITLEDGER_KEYS (the JSON itself), else the file at `keys_path()`.

    Kept until the file is replaced. Raises KeysUnavailable where they are missing, broken or readable by others.
    """
    text = os.environ.get("QUITLEDGER_KEYS")
    if text:
        return _given(text)
    path = keys_path()
    try:
        found = path.stat()
    except OSError:
        return _kept(path, 0, 0, 0)  # which says why
    return _kept(path, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)  # the last changes with the rights


@lru_cache(maxsize=2)
def _given(text: str) -> Keys:
    return _parse(text, where="環境變數 QUITLEDGER_KEYS")


@lru_cache(maxsize=2)
def _kept(path: Path, *_state: int) -> Keys:
    return _parse(_read_private(path), where=f"金鑰檔 {path}")


def keys_path() -> Path:
    """Where the keys file is: QUITLEDGER_KEYS_FILE, else keys.json in the data folder (QUITLEDGER_DATA, else .data)."""
    named = os.environ.get("QUITLEDGER_KEYS_FILE")
    if named:
        return Path(named)
    return Path(os.environ.get("QUITLEDGER_DATA") or _CHECKOUT / ".data") / "keys.json"


_CHECKOUT = Path(__file__).resolve().parents[2]


def create_keys_file(path: Path) -> None:
    """Writes a file with one new random key, mode 0600, whole or not at all. Makes the folder where it is missing.

    Raises FileExistsError where something is at `path` already: keys are never overwritten.
    """
    write_new(path, json.dumps({"current": "k1", "keys": {"k1": _new_pair()}}, indent=2).encode())


def add_key(path: Path) -> str:
    """Adds a new random key to the file, not yet the current one; returns its id. Raises KeysUnavailable."""
    data = _data(path)
    number = max((int(key_id[1:]) for key_id in data["keys"] if re.fullmatch(r"k\d+", key_id)), default=0) + 1
    data["keys"][f"k{number}"] = _new_pair()
    replace(path, json.dumps(data, indent=2).encode())
    return f"k{number}"


def make_current(path: Path, key_id: str) -> None:
    """Makes a key of the file the one that new rows are encrypted and hashed with. Raises KeysUnavailable."""
    replace(path, json.dumps(_data(path) | {"current": key_id}, indent=2).encode())


def _data(path: Path) -> dict[str, Any]:
    text = _read_private(path)
    _parse(text, where=f"金鑰檔 {path}")
    data: dict[str, Any] = json.loads(text)
    return data


def _new_pair() -> dict[str, str]:
    return {use: base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() for use in ("encrypt", "hash")}


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
