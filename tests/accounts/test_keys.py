"""Keys outside the database: what they keep secret, and every way in which they may be unusable."""

import base64
import hashlib
import hmac
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.accounts.keys import (
    KeyMissing,
    Keys,
    KeysUnavailable,
    Tampered,
    add_key,
    create_keys_file,
    keys,
    keys_path,
    make_current,
)

ENCRYPTING, HASHING, OTHER = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
RING = Keys("k1", {"k1": (ENCRYPTING, HASHING)})


def in_base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


PAIR = {"encrypt": in_base64(ENCRYPTING), "hash": in_base64(HASHING)}
GOOD = json.dumps({"current": "k1", "keys": {"k1": PAIR}})


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch):
    for name in ("QUITLEDGER_KEYS", "QUITLEDGER_KEYS_FILE", "QUITLEDGER_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keys_file(tmp_path, monkeypatch):
    """Writes a private keys file with the given text and makes it the one that is read."""

    def write(text: str | bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "keys.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(path))
        return path

    return write


def refusal() -> str:
    with pytest.raises(KeysUnavailable) as caught:
        keys()
    return str(caught.value)


# --- encrypting ---


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=40))
def test_what_was_encrypted_comes_back_for_the_same_record_only(plain, about):
    token, key_id = RING.encrypt(plain, about=about)
    assert key_id == "k1"
    assert RING.decrypt(token, key_id, about=about) == plain
    assert RING.decrypt(memoryview(token), key_id, about=about) == plain
    with pytest.raises(Tampered):
        RING.decrypt(token, key_id, about=about + b"x")


@given(st.data())
def test_any_changed_bit_is_noticed(data):
    token, key_id = RING.encrypt("A123456789")
    place, bit = data.draw(st.integers(0, len(token) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(token)
    changed[place] ^= 1 << bit
    with pytest.raises(Tampered):
        RING.decrypt(bytes(changed), key_id)


@pytest.mark.parametrize("length", [0, 1, 12, 27, 28])
def test_a_token_cut_short_is_noticed(length):
    token, key_id = RING.encrypt("A123456789")
    with pytest.raises(Tampered, match="無法解密"):
        RING.decrypt(token[:length], key_id)


def test_the_same_number_never_gives_the_same_token():
    tokens = {RING.encrypt("A123456789")[0] for _ in range(200)}
    assert len(tokens) == 200
    assert not any(b"123456789" in token for token in tokens)


def test_an_unknown_key_is_named():
    with pytest.raises(KeyMissing, match="k9") as caught:
        RING.decrypt(b"", "k9")
    assert caught.value.key_id == "k9"


def test_after_a_rotation_old_tokens_are_read_and_new_ones_use_the_new_key():
    token, key_id = RING.encrypt("A123456789")
    rotated = Keys("k2", {"k1": (ENCRYPTING, HASHING), "k2": (OTHER, HASHING)})
    assert rotated.decrypt(token, key_id) == "A123456789"
    assert rotated.encrypt("A123456789")[1] == "k2"
    assert rotated.keyed_hash("A123456789") == RING.keyed_hash("A123456789")
    with pytest.raises(Tampered):
        rotated.decrypt(token, "k2")


def test_threads_share_one_set_of_keys():
    def there_and_back(serial: int) -> bool:
        token, key_id = RING.encrypt(str(serial), about=b"%d" % serial)
        return RING.decrypt(token, key_id, about=b"%d" % serial) == str(serial)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(2000)))


# --- hashing ---


def test_a_keyed_hash_is_hmac_sha256_of_a_domain_and_the_text():
    text = "national_id::A123456789"
    expected = hmac.new(HASHING, b"quitledger keyed hash v1\x00" + text.encode(), hashlib.sha256).digest()
    assert RING.keyed_hash(text) == expected
    assert len(expected) == 32
    assert RING.keyed_hash(text) != hmac.new(HASHING, text.encode(), hashlib.sha256).digest()
    assert Keys("k1", {"k1": (ENCRYPTING, OTHER)}).keyed_hash(text) != expected


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_keyed_hashes_are_equal_only_for_equal_texts(one, other):
    assert (RING.keyed_hash(one) == RING.keyed_hash(other)) == (one == other)


# --- loading ---


def test_keys_come_from_the_environment_first_and_are_read_once(monkeypatch, keys_file):
    keys_file("broken")
    monkeypatch.setenv("QUITLEDGER_KEYS", GOOD)
    assert keys().keyed_hash("x") == RING.keyed_hash("x")
    assert keys() is keys()


def test_a_file_that_was_replaced_is_read_again_and_a_new_key_is_used_once_it_is_current(keys_file):
    path = keys_file(GOOD)
    before = keys()
    assert before is keys()
    assert add_key(path) == "k2"
    assert keys().current == "k1"
    assert keys().ids == ["k1", "k2"]
    assert keys().keyed_hash("x") == before.keyed_hash("x")
    assert len(keys().keyed_hashes("x")) == 2
    make_current(path, "k2")
    assert keys().current == "k2"
    assert keys().keyed_hashes("x")[1] == before.keyed_hash("x")
    assert keys().decrypt(*before.encrypt("A123456789")) == "A123456789"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert add_key(path) == "k3"


def test_keys_come_from_the_file_named_and_a_refusal_is_not_remembered(monkeypatch, keys_file):
    monkeypatch.setenv("QUITLEDGER_KEYS", "")
    path = keys_file("broken")
    assert str(path) in refusal()
    keys_file(GOOD)
    assert keys().current == "k1"


def test_the_file_is_in_the_data_folder_unless_named(monkeypatch, tmp_path):
    checkout = Path(__file__).resolve().parents[2]
    assert keys_path() == checkout / ".data" / "keys.json"
    monkeypatch.setenv("QUITLEDGER_DATA", str(tmp_path))
    assert keys_path() == tmp_path / "keys.json"
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(tmp_path / "elsewhere"))
    assert keys_path() == tmp_path / "elsewhere"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610])
def test_a_file_that_others_can_reach_is_refused_and_the_command_to_run_is_named(keys_file, mode):
    path = keys_file(GOOD, mode)
    assert f"chmod 600 {path}" in refusal()


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(keys_file, mode):
    keys_file(GOOD, mode)
    assert keys().current == "k1"


def test_a_missing_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("QUITLEDGER_DATA", str(tmp_path))
    assert f"找不到金鑰檔 {tmp_path}/keys.json" in refusal()


def test_a_folder_instead_of_a_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(tmp_path))
    assert f"讀不到金鑰檔 {tmp_path}" in refusal()


def test_a_file_that_is_not_text_is_refused(keys_file):
    keys_file(b"\xff\xfe\x00")
    assert "不是文字檔" in refusal()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "不是 JSON"),
        ('{"current": "k1", "keys"', "不是 JSON"),
        ("[]", "缺少"),
        ("null", "缺少"),
        ({}, "缺少"),
        ({"keys": {"k1": PAIR}}, "缺少"),
        ({"current": "k1", "keys": []}, "缺少"),
        ({"current": "k1", "keys": {"k1": {"encrypt": PAIR["encrypt"]}}}, "缺少"),
        ({"current": "k1", "keys": {"k1": {"encrypt": 1, "hash": PAIR["hash"]}}}, "缺少"),
        ({"current": "k1", "keys": {"k1": "text"}}, "缺少"),
        ({"current": "k1", "keys": {"k1": {**PAIR, "hash": in_base64(HASHING[:31])}}}, "32 位元組"),
        ({"current": "k1", "keys": {"k1": {**PAIR, "encrypt": in_base64(HASHING + b"x")}}}, "32 位元組"),
        ({"current": "k1", "keys": {"k1": {**PAIR, "encrypt": "*" + PAIR["encrypt"]}}}, "32 位元組"),
        ({"current": "k1", "keys": {"k1": {**PAIR, "encrypt": "金鑰"}}}, "32 位元組"),
        ({"current": "k2", "keys": {"k1": PAIR}}, "current"),
        ({"current": ["k1"], "keys": {"k1": PAIR}}, "current"),
        ({"current": "k1", "keys": {}}, "current"),
    ],
)
def test_broken_content_is_refused_in_one_sentence_without_repeating_a_key(monkeypatch, keys_file, content, said):
    text = content if isinstance(content, str) else json.dumps(content)
    path = keys_file(text)
    message = refusal()
    assert said in message
    assert str(path) in message
    assert PAIR["encrypt"][:8] not in message
    if text:
        monkeypatch.setenv("QUITLEDGER_KEYS", text)
        assert refusal().startswith("環境變數 QUITLEDGER_KEYS 的內容不對")


# --- creating ---


def test_a_new_file_is_private_even_under_an_open_umask_and_can_be_used_at_once(tmp_path, monkeypatch):
    path = tmp_path / "data" / "keys.json"
    before = os.umask(0)
    try:
        create_keys_file(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
    monkeypatch.setenv("QUITLEDGER_KEYS_FILE", str(path))
    token, key_id = keys().encrypt("A123456789")
    assert keys().decrypt(token, key_id) == "A123456789"


def test_every_new_file_holds_other_keys(tmp_path):
    found = set()
    for name in ("a", "b"):
        create_keys_file(tmp_path / name)
        found |= set(json.loads((tmp_path / name).read_text())["keys"]["k1"].values())
    assert len(found) == 4


def test_an_existing_file_is_never_overwritten_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        create_keys_file(path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_that_create_the_file_at_once_one_wins(tmp_path):
    path = tmp_path / "keys.json"

    def create(_: int) -> bool:
        try:
            create_keys_file(path)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_cut_off_leaves_no_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        create_keys_file(tmp_path / "keys.json")
    assert list(tmp_path.iterdir()) == []
