"""The key that signs checkpoints (Ed25519), a file outside the database that no web process reads.

Whoever has it can make checkpoints; whoever has its public half can check them.
"""

import base64
import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .private_files import write_new


class SigningKeyUnavailable(Exception):
    """The key that signs cannot be used; the message says in one sentence why and what to do. It never holds a key."""


class Signer:
    """Signs lines. `key_id` names its public key: 16 hexadecimal digits of its SHA-256."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key()
        self.key_id = key_id_of(self.public)

    def sign(self, payload: bytes) -> str:
        """The signature of `payload` in base64."""
        return base64.b64encode(self._private.sign(payload)).decode()

    def public_pem(self) -> str:
        """The public key as PEM, for whoever checks."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.public.public_bytes(serialization.Encoding.PEM, form).decode()


def signing_key_path() -> Path:
    """Where the key is: QUITLEDGER_CHECKPOINT_KEY, else checkpoint-key.pem in the data folder."""
    return _beside("QUITLEDGER_CHECKPOINT_KEY", "checkpoint-key.pem")


def anchor_path() -> Path:
    """Where the anchor is: QUITLEDGER_ANCHOR, else anchor.txt in the data folder (outside the cluster)."""
    return _beside("QUITLEDGER_ANCHOR", "anchor.txt")


def _beside(setting: str, name: str) -> Path:
    named = os.environ.get(setting)
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("QUITLEDGER_DATA") or checkout / ".data") / name


def create_signing_key(path: Path) -> None:
    """Write a new key, mode 0600. Raises FileExistsError where something is there: a key is never overwritten."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(path, pem)


def load_signer(path: Path) -> Signer:
    """The key at `path`. Raises SigningKeyUnavailable."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
                message = f"檢核點金鑰 {path} 的權限讓其他使用者也能存取。請執行 chmod 600 {path}。"
                raise SigningKeyUnavailable(message)
            private = serialization.load_pem_private_key(file.read(), password=None)
    except FileNotFoundError:
        message = f"找不到檢核點金鑰 {path}。請還原備份的金鑰檔；全新安裝才建立新的。"
        raise SigningKeyUnavailable(message) from None
    except OSError as error:
        message = f"讀不到檢核點金鑰 {path}：{error.strerror}。"
        raise SigningKeyUnavailable(message) from None
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        message = f"檢核點金鑰 {path} 不是 Ed25519 的私密金鑰。請還原備份的金鑰檔。"
        raise SigningKeyUnavailable(message)
    return Signer(private)


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises SigningKeyUnavailable."""
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise SigningKeyUnavailable(f"{path} 不是 Ed25519 的公開金鑰（PEM）。")
    return public


def key_id_of(public: Ed25519PublicKey) -> str:
    """The name of a public key."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def is_signed(public: Ed25519PublicKey, signature: str, payload: bytes) -> bool:
    """True when `signature` (base64) is that key's over `payload`."""
    try:
        public.verify(base64.b64decode(signature, validate=True), payload)
    except (InvalidSignature, ValueError):
        return False
    return True
