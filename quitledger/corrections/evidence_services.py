"""The only writers of evidence. Each is one transaction with its audit entry, and takes `by=`."""

import hashlib
from datetime import date
from uuid import UUID, uuid4

from django.core.exceptions import PermissionDenied
from django.db import transaction

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import keys
from quitledger.accounts.permissions import Permission
from quitledger.audit import journal
from quitledger.audit.database import ProgrammeNow
from quitledger.cases.rules import person_emptied
from quitledger.policy.problem import Problem, Refused, refuse_where

from . import evidence as rules
from .evidence import Asker, EvidenceKind, Origin
from .models import Application, Evidence, EvidenceFile
from .rules import State


def attach_evidence(
    *,
    application: Application,
    content: bytes,
    origin: Origin = Origin.SENT,
    uid: UUID | None = None,
    today: date,
    by: Actor,
) -> Evidence:
    """Attach a file to an application. The same file twice is one.

    What it is, is said by its content; a picture is kept without what cameras write into it. Raises PermissionDenied,
    and Refused where it is not taken or nothing can be attached now. Field: file.
    """
    by.require(Permission.CORRECTION_APPLY if by.institution_id else Permission.CORRECTION_REGISTER)
    if by.account_id is None:
        raise PermissionDenied("an account")
    refuse_where(rules.check_size(len(content), today))
    sha256 = hashlib.sha256(content).digest()
    # Asked before the file is looked into, which takes its time, and again under the lock, which nobody holds meanwhile.
    known = _known(_found(application, by), sha256, today, by)
    if known is not None:
        return known
    looked = rules.looked_at(content)
    if isinstance(looked, Problem):
        raise Refused([looked])
    what, kept = looked
    refuse_where(rules.check_size(len(kept), today))
    with transaction.atomic():
        found = _found(application, by, lock=True)
        known = _known(found, sha256, today, by)
        if known is not None:
            return known
        evidence = Evidence.objects.create(
            uid=uid or uuid4(), application=found, institution_id=found.institution_id,
            number=found.evidence.count() + 1,  # no row goes
            origin=origin, kind=EvidenceKind(what.kind), size=len(kept), pages=what.pages, width=what.width,
            height=what.height, sha256=sha256, uploaded_by_id=by.account_id,
        )  # fmt: skip
        token, key_id = keys().encrypt_bytes(kept, about=_about(evidence.uid))
        EvidenceFile.objects.create(evidence=evidence, institution_id=found.institution_id, token=token, key_id=key_id)
        evidence.refresh_from_db()
        _note("evidence.attach", evidence, found)
    return evidence


def _known(found: Application, sha256: bytes, today: date, by: Actor) -> Evidence | None:
    """The piece of evidence that is this file already. Raises Refused where nothing can be attached now."""
    asker, state = asker_of(found, by), State(found.state)
    held = {bytes(one.sha256 or b""): one for one in found.evidence.filter(removed_at=None)}
    if sha256 in held and rules.may_attach(state, asker):
        return held[sha256]
    problems = rules.check_attaching(state=state, asker=asker, held=len(held), today=today)
    refuse_where(problems + ([person_emptied()] if found.case.person.is_emptied else []))
    return None


def remove_evidence(*, evidence: Evidence, by: Actor) -> None:
    """Take a file out of a draft: it is gone, that it was there stays. Twice is once. Raises PermissionDenied, Refused."""
    by.require(Permission.CORRECTION_APPLY)
    if by.institution_id != evidence.institution_id:
        raise PermissionDenied("evidence of another institution")
    with transaction.atomic():
        application = _found(evidence.application, by, lock=True)
        found = Evidence.objects.get(pk=evidence.pk)
        if found.removed_at is not None:
            return
        refuse_where(rules.check_removing(state=State(application.state), asker=asker_of(application, by)))
        found.removed_by_id, found.removed_at = by.account_id, ProgrammeNow()
        found.save(update_fields=["removed_by", "removed_at"])
        EvidenceFile.objects.filter(evidence=found).delete()
        _note("evidence.remove", found, application)


def open_evidence(*, evidence: Evidence, by: Actor) -> bytes:
    """The file, journaled. Raises PermissionDenied, and Refused where it is gone: taken out, or its keeping time has ended."""
    by.require(Permission.CORRECTION_READ)
    file = EvidenceFile.objects.filter(evidence=evidence).first()
    if file is None:
        raise Refused([Problem("evidence-gone", "這份文件已移除，或保存期限已過。")])
    _note("evidence.read", evidence, evidence.application)
    return keys().decrypt_bytes(file.token, file.key_id, about=_about(evidence.uid))


def asker_of(application: Application, by: Actor) -> Asker:
    """What an application is to whoever asks."""
    mine = by.account_id is not None
    return Asker(
        of_desk=by.institution_id is None,
        registered_it=mine and application.on_paper and application.written_by_id == by.account_id,
        claimed_it=mine and application.claimed_by_id == by.account_id,
    )


def renew_evidence(*, after: int, limit: int, by: Actor) -> tuple[int, int]:
    """Encrypt anew under the current key the files that lie under another one, numbered above `after`, at most `limit`.

    Returns the number of the last one and how many. As the owner. Raises PermissionDenied, KeyMissing, Tampered.
    """
    by.require(Permission.KEY_ROTATE)
    known = keys()
    with transaction.atomic():
        files = EvidenceFile.objects.select_for_update(of=("self",)).select_related("evidence").order_by("pk")
        renewed = list(files.filter(pk__gt=after).exclude(key_id=known.current)[:limit])
        for file in renewed:
            about = _about(file.evidence.uid)
            plain = known.decrypt_bytes(file.token, file.key_id, about=about)
            file.token, file.key_id = known.encrypt_bytes(plain, about=about)
            file.save(update_fields=["token", "key_id"])
        if renewed:
            journal.record(Permission.KEY_ROTATE, record_type="corrections_evidencefile", fields=["file"])
    return (renewed[-1].pk, len(renewed)) if renewed else (after, 0)


def _found(application: Application, by: Actor, *, lock: bool = False) -> Application:
    """The application as it is now; locked, nobody takes a step with it meanwhile. Raises PermissionDenied."""
    if by.institution_id not in (None, application.institution_id):
        raise PermissionDenied("an application of another institution")
    applications = Application.objects.select_related("case__person")
    return (applications.select_for_update(of=("self",)) if lock else applications).get(pk=application.pk)


def _about(uid: UUID) -> bytes:
    """What a file's token is bound to: it fits no other piece of evidence."""
    return b"evidence:" + uid.bytes


def _note(action: str, evidence: Evidence, application: Application) -> None:
    journal.record(action, record_type="evidence", uids=[evidence.uid, application.uid, application.case.uid])
