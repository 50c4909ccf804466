"""A device that makes passkeys, in software: it signs whatever it is told to, for any page and any site."""

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from time import time
from typing import Any
from uuid import uuid4

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth import SESSION_KEY
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped

from .. import world
from .conftest import Browser

ORIGIN, SITE = "http://testserver", "testserver"
ADD, ALONE, STEP = "/accounts/security/passkeys/add", "/accounts/login/passkey", "/accounts/login/code"
FLAG = AuthenticatorData.FLAG


@dataclass
class Device:
    """One passkey. `owner`: the account's handle, as the site gave it when the passkey was made."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: uuid4().bytes)
    owner: str = ""
    count: int = 0

    def make(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What a browser sends to register the passkey."""
        self.owner = options["user"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())
        made = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        told = AuthenticatorData.create(
            _site(lies), FLAG.UP | FLAG.AT | (FLAG.UV if lies.get("verified", True) else 0), self.count, made
        )
        response = {
            "clientDataJSON": websafe_encode(_client_data("webauthn.create", options, lies)),
            "attestationObject": websafe_encode(bytes(AttestationObject.create("none", told, {}))),
        }
        return self._credential(response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def sign(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What a browser sends to sign in with it. `lies`: origin, site, type, challenge, framed, present, verified,
        count, owner, credential_id, key."""
        self.count = lies.get("count", self.count + 1)
        flags = (FLAG.UP if lies.get("present", True) else 0) | (FLAG.UV if lies.get("verified", True) else 0)
        told = AuthenticatorData.create(_site(lies), FLAG(flags), self.count)
        said = _client_data("webauthn.get", options, lies)
        signature = lies.get("key", self.key).sign(bytes(told) + sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(said), "authenticatorData": websafe_encode(bytes(told)),
            "signature": websafe_encode(signature), "userHandle": lies.get("owner", self.owner),
        }  # fmt: skip
        return self._credential(response, lies.get("credential_id"))

    def _credential(self, response: dict[str, Any], credential_id: bytes | None = None) -> dict[str, Any]:
        name = websafe_encode(credential_id or self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response}


def _site(lies: dict[str, Any]) -> bytes:
    return sha256(lies.get("site", SITE).encode()).digest()


def _client_data(kind: str, options: dict[str, Any], lies: dict[str, Any]) -> bytes:
    said = {"type": lies.get("type", kind), "challenge": lies.get("challenge", options["challenge"]),
            "origin": lies.get("origin", ORIGIN), "crossOrigin": lies.get("framed", False)}  # fmt: skip
    return json.dumps(said).encode()


def asked(browser: Browser, page: str) -> dict[str, Any]:
    """What a page asks the device for."""
    if page == ALONE:
        answer: Any = browser.get(page, headers={"accept": "application/json"})
        return answer.json()["request_options"]["publicKey"]  # type: ignore[no-any-return]
    found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', browser.get(page).text, re.DOTALL)
    assert found, "the page asks for no passkey"
    (options,) = json.loads(found[1]).values()
    return options["publicKey"]  # type: ignore[no-any-return]


def send(browser: Browser, page: str, credential: Any, **more: Any) -> Any:
    """Send what a device answered."""
    return browser.send(page, {"credential": json.dumps(credential), **more})


def just_signed_in(browser: Browser) -> Browser:
    """The browser, whose session knows of a password told a moment ago: means to sign in may be changed."""
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": time(), "reauthenticated": True}]
    session["account_authentication_methods_user"] = session[SESSION_KEY]
    session.save()
    return browser


def a_passkey(username: str) -> tuple[Device, int]:
    """Somebody has a passkey: the device, and the key of its row."""
    device = Device()
    browser = just_signed_in(Browser(username))
    with scoped(world.SYSTEM):
        row = Authenticator.objects.create(
            user=User.objects.get(username=username),
            type="webauthn",
            data={"name": "裝置", "credential": device.make(asked(browser, ADD))},
        )
    return device, row.pk
