"""The only writers of batches. A batch is checked and recorded by jobs of the worker, which call these; each takes `by=`.

Every writer is a transaction with its audit entry, but for the work of a job: its rows are read in parts, so that a page sees
how far it is, and recorded in one transaction, so that after a crash all are there or none.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from procrastinate.contrib.django import app

from quitledger.accounts.actors import Actor
from quitledger.accounts.keys import Keys, keys
from quitledger.accounts.permissions import Permission
from quitledger.accounts.scope import scoped, try_twice
from quitledger.audit import journal
from quitledger.audit.database import programme_now
from quitledger.audit.staging import Aside, as_copied, copy_in
from quitledger.files.tables import read_table
from quitledger.policy import TAIPEI, policy_on
from quitledger.policy.problem import Problem, Refused
from quitledger.policy.sentence_json import packed_problem, unpacked_problem
from quitledger.policy.sentences import Sentence

from . import visit_rows
from .columns import COLUMNS, Kind, Titles, cells_of, find_titles, missing_of, plain_title
from .models import Batch, BatchFile, ColumnChoice, Row
from .person_rows import PersonRows
from .verdicts import Verdict

AT_ONCE = 1_000  # rows of a part: read, checked and recorded together
_TELL_EVERY = 500  # milliseconds between two words on how far the recording is
_SAMPLES = 3  # lines shown beside titles that are asked for
State, Status = Batch.State, Row.Status


@dataclass
class Head:
    """What is known of a file besides its rows: titles, where columns are, the first lines where it is asked; or why not."""

    titles: list[str] = field(default_factory=list)
    line: int = 0
    places: dict[str, int] = field(default_factory=dict)
    samples: list[list[str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, batch: Batch) -> "Head":
        """The head of a batch; empty where nothing is known yet."""
        if batch.head is None:
            return cls()
        found = json.loads(keys().decrypt(batch.head, batch.key_id, about=_about(batch)))
        return cls(**{**found, "problems": [unpacked_problem(one) for one in found["problems"]]})

    def keep(self, batch: Batch) -> None:
        """Put it into the batch, which is not saved."""
        said = {**vars(self), "problems": [packed_problem(one) for one in self.problems]}
        batch.head, batch.key_id = keys().encrypt(json.dumps(said), about=_about(batch))


def _about(batch: Batch, line: int | None = None) -> bytes:
    """What a token is bound to: it fits no other batch or line."""
    return b"batch:" + batch.uid.bytes + (b"" if line is None else line.to_bytes(4))


@dataclass
class HeldRow:
    """A row as it is held: its cells in the order of the file, and the reasons against it."""

    row: Row
    line: list[str]
    problems: list[Problem]


def open_row(row: Row, batch: Batch, known: Keys | None = None) -> HeldRow:
    """Decrypt a row; of many at once with the keys `known`."""
    found = json.loads((known or keys()).decrypt(row.token, row.key_id, about=_about(batch, row.line)))
    return HeldRow(row, found["cells"], [unpacked_problem(one) for one in found.get("problems", ())])


def _closed(
    batch: Batch, line: int, cells: Sequence[str], problems: Sequence[Problem] = (), known: Keys | None = None
) -> tuple[bytes, str]:
    """A row's token and the id of its key."""
    said: dict[str, Any] = {"cells": list(cells)}
    if problems:
        said["problems"] = [packed_problem(one) for one in problems]
    return (known or keys()).encrypt(json.dumps(said), about=_about(batch, line))


def _require(by: Actor, kind: str) -> tuple[int, int]:
    """The institution and the account, where the actor may record by file. Raises PermissionDenied."""
    by.require(Permission.VISIT_RECORD if kind == Kind.VISITS else Permission.CASE_REGISTER)
    if by.account_id is None:
        raise PermissionDenied("an account")
    return by.at_institution(), by.account_id


# --- What a page asks for --------------------------------------------------------------------------------------------


def upload_batch(*, uid: UUID, kind: Kind, content: bytes, by: Actor) -> Batch:
    """Take a file, to be checked by the worker. The same form sent twice is one batch. Raises PermissionDenied, Refused."""
    institution_id, account_id = _require(by, kind)
    problems = check_size(len(content))
    if problems:
        raise Refused(problems)
    with transaction.atomic():
        known = Batch.objects.filter(uid=uid, institution_id=institution_id).first()
        if known is not None:
            return known
        moment = programme_now()
        days = policy_on(moment.astimezone(TAIPEI).date(), "batch_kept_days")
        batch = Batch.objects.create(
            uid=uid, institution_id=institution_id, kind=kind, uploaded_by_id=account_id,
            kept_until=moment + timedelta(days=days),
        )  # fmt: skip
        token, key_id = keys().encrypt_bytes(content, about=_about(batch))
        BatchFile.objects.create(batch=batch, institution_id=institution_id, token=token, key_id=key_id)
        journal.record("batch.upload", record_type="batch", uids=[batch.uid])
        _defer("check_batch", batch, by)
    return batch


def check_size(size: int) -> list[Problem]:
    """A file that is empty or too large, in bytes. Field: file."""
    most = settings.BATCH_MOST_MEGABYTES
    if size > most * 1_048_576:
        return [Problem("file-too-large", Sentence("檔案超過 {most} MB，請分成幾份。", most=most), "file")]
    return [] if size else [Problem("file-empty", "這個檔案是空的，請重新選擇。", "file")]


def choose_columns(*, batch: Batch, places: Mapping[str, int], by: Actor) -> None:
    """Say which title means which column, where it was asked; it is remembered for the institution's next file.

    `places`: column → index of the title. Raises PermissionDenied, Refused. Fields: the columns' names.
    """
    institution_id, _account_id = _require(by, batch.kind)
    kind = Kind(batch.kind)
    with transaction.atomic():
        found = _locked(batch, by)
        if found.state != State.ASKING:
            return
        head = Head.of(found)
        problems = [
            Problem("column-missing", "請選擇是檔案裡的哪一欄。", names[0]) for names in missing_of(kind, places)
        ]
        twice = [name for name, place in places.items() if list(places.values()).count(place) > 1]
        problems += [Problem("column-twice", "同一欄只能選一次。", name) for name in twice]
        if problems:
            raise Refused(problems)
        for name, place in places.items():
            title = plain_title(head.titles[place])[:60]
            ColumnChoice.objects.filter(institution_id=institution_id, kind=kind, column=name).exclude(
                title=title
            ).delete()
            ColumnChoice.objects.update_or_create(
                institution_id=institution_id, kind=kind, title=title, defaults={"column": name}
            )
        head.places, head.samples = dict(places), []
        head.keep(found)
        found.state = State.READING
        found.save(update_fields=["state", "head", "key_id"])
        journal.record("batch.choose_columns", record_type="batch", uids=[found.uid])
        _defer("check_batch", found, by)


def amend_row(*, batch: Batch, line: int, cells: Mapping[str, str], by: Actor) -> HeldRow:
    """Let a row say something else, and check it anew, with the other rows of the persons it names and named.

    `cells`: column → text. Raises PermissionDenied, and Refused where the batch is not waiting for a decision.
    """
    _require(by, batch.kind)
    with transaction.atomic():
        found = _decidable(batch, by)
        row = Row.objects.select_for_update().filter(batch=found, line=line).first()
        if row is None:
            raise Refused([Problem("row-gone", "這一列已經登錄，或已不在批次裡。")])
        head = Head.of(found)
        held = open_row(row, found)
        for name, text in cells.items():
            place = _place_of(name, head, Kind(found.kind))
            held.line += [""] * (place + 1 - len(held.line))
            held.line[place] = text.replace("\x00", "")
        head.keep(found)
        found.save(update_fields=["head", "key_id"])
        persons = [row.person_id]
        if found.kind == Kind.VISITS:
            persons += visit_rows.persons_of([cells_of(held.line, head.places)], by)
            row.person_id = persons[-1]
        row.token, row.key_id = _closed(found, line, held.line)
        row.status = Status.WAITING
        row.save(update_fields=["person", "token", "key_id", "status"])
        others = Row.objects.filter(batch=found, person_id__in=[one for one in persons if one]).exclude(pk=row.pk)
        again = [row, *others] if found.kind == Kind.VISITS else [row]
        _judge(found, head, sorted(again, key=lambda one: one.line), _checking(found, by))
        journal.record("batch.amend", record_type="batch", uids=[found.uid])
        row.refresh_from_db()
    return open_row(row, found)


def _place_of(name: str, head: Head, kind: Kind) -> int:
    """Where a column stands; one that the file did not have is put behind the others."""
    if name not in head.places:
        column = next(column for column in COLUMNS[kind] if column.name == name)
        head.places[name] = len(head.titles)
        head.titles.append(str(column.title))
    return head.places[name]


def ask_recording(*, batch: Batch, all_or_none: bool, by: Actor) -> Batch:
    """Have the worker record the rows that can be. `all_or_none`: nothing, where one of them no longer can by then.

    Asked twice is once. Raises PermissionDenied, Refused.
    """
    _require(by, batch.kind)
    with transaction.atomic():
        found = _locked(batch, by)
        if found.state in (State.RECORDING, State.RECORDED):
            return found
        found = _decidable(batch, by)
        if not Row.objects.filter(batch=found, status=Status.GOOD).exists():
            raise Refused([Problem("nothing-to-record", "沒有可以登錄的列。")])
        found.state, found.done, found.all_or_none = State.RECORDING, 0, all_or_none
        head = Head.of(found)
        head.problems = []
        head.keep(found)
        found.save(update_fields=["state", "done", "all_or_none", "head", "key_id"])
        journal.record("batch.ask_recording", record_type="batch", uids=[found.uid])
        _defer("record_batch", found, by)
    return found


def give_up_batch(*, batch: Batch, by: Actor) -> None:
    """Throw away what a batch holds; nothing of it was recorded but what is recorded. Twice is once.

    Raises PermissionDenied, and Refused while it is being recorded.
    """
    _require(by, batch.kind)
    with transaction.atomic():
        found = _locked(batch, by)
        if found.state in (State.GIVEN_UP, State.RECORDED):
            return
        if found.state == State.RECORDING:
            raise Refused([Problem("batch-recording", "正在登錄，請等它完成。")])
        _empty(found)
        found.state = State.GIVEN_UP
        found.save(update_fields=["state", "head", "key_id"])
        journal.record("batch.give_up", record_type="batch", uids=[found.uid])


def remove_expired(*, by: Actor) -> int:
    """Throw away what batches hold beyond their time, and comparisons beyond theirs. Returns how many (periodic job).

    Raises PermissionDenied.
    """
    by.require(Permission.BATCH_CLEAR)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT batches_remove_expired()")
        uids: list[UUID] = cursor.fetchone()[0]
        if uids:
            journal.record(Permission.BATCH_CLEAR, record_type="batch", uids=uids)
    return len(uids)


def _locked(batch: Batch, by: Actor) -> Batch:
    return Batch.objects.select_for_update().get(pk=batch.pk, institution_id=by.at_institution())


def _decidable(batch: Batch, by: Actor) -> Batch:
    """The batch, locked, where somebody is to decide about it. Raises Refused."""
    found = _locked(batch, by)
    if found.state != State.CHECKED:
        message = Sentence("這個批次現在是「{state}」，不能這樣做。", state=State(found.state).label)
        raise Refused([Problem("batch-not-now", message)])
    if found.kept_until <= programme_now():
        raise Refused([Problem("batch-expired", "這個批次的保留時間已過，請重新上傳檔案。")])
    return found


def _empty(batch: Batch) -> None:
    """Remove what a batch holds."""
    Row.objects.filter(batch=batch).delete()
    BatchFile.objects.filter(batch=batch).delete()
    batch.head, batch.key_id = None, ""


def _defer(task: str, batch: Batch, by: Actor) -> None:
    """Have the worker do something with the batch once this transaction is committed; two jobs of a batch wait in turn."""
    deferrer = app.configure_task(f"quitledger:{task}", lock=f"batch {batch.uid}")
    deferrer.defer(batch=str(batch.uid), account=by.account_id, institution=by.institution_id)


# --- What the worker does: checking ----------------------------------------------------------------------------------


def check_batch(*, uid: UUID, by: Actor) -> None:
    """Read and check a file that was sent. Done twice it is done once; begun again it begins anew. Raises PermissionDenied."""
    with scoped(by):
        batch = Batch.objects.get(uid=uid, institution_id=by.at_institution())
        _require(by, batch.kind)
        if batch.state != State.READING:
            return
        head = Head.of(batch)
        Row.objects.filter(batch=batch).delete()
        file = BatchFile.objects.get(batch=batch)
        content = keys().decrypt_bytes(file.token, file.key_id, about=_about(batch))
    with suppress(_Ended):
        try:
            head = _read_file(batch, head, content, by)
        except Refused as refused:
            with scoped(by):
                _empty(batch)
                Head(problems=refused.problems).keep(batch)
                _step(batch, State.REFUSED, file_format=batch.file_format, head=batch.head, key_id=batch.key_id)
                journal.record("batch.refuse", record_type="batch", uids=[batch.uid])
            return
        del content
        if batch.state == State.READING:
            _check_rows(batch, head, by)


class _Ended(Exception):
    """Somebody gave the batch up while it was being checked."""


def _step(batch: Batch, state: str = State.READING, **values: Any) -> None:
    """Say how far the checking of a batch is, or that it has come to an end. Raises _Ended, which undoes the transaction."""
    if not Batch.objects.filter(pk=batch.pk, state=State.READING).update(state=state, **values):
        raise _Ended
    batch.state = state


def _read_file(batch: Batch, head: Head, content: bytes, by: Actor) -> Head:
    """Hold the rows of a file, part by part; or ask what its columns are. Raises Refused."""
    with read_table(content, most_rows=settings.BATCH_MOST_ROWS) as table:
        batch.file_format = table.kind
        head = _with_titles(batch, head, table.first, by)
        with scoped(by):
            missing = missing_of(Kind(batch.kind), head.places)
            if missing:
                head.samples = [line for number, line in table.first if number > head.line][:_SAMPLES]
                journal.record("batch.ask_columns", record_type="batch", uids=[batch.uid])
            head.keep(batch)
            batch.rows, batch.done = None, 0
            said = {"head": batch.head, "key_id": batch.key_id, "file_format": table.kind, "rows": None, "done": 0}
            _step(batch, State.ASKING if missing else State.READING, **said)
        if missing:
            return head
        waiting = table.rows(head.line)
        while part := list(islice(waiting, AT_ONCE)):
            with scoped(by):
                _hold(batch, head, part, by)
                batch.done += len(part)
                _step(batch, done=batch.done)
    if not batch.done:
        raise Refused([Problem("file-empty", "檔案沒有資料列。", "file")])
    return head


def _with_titles(batch: Batch, head: Head, first: list[tuple[int, list[str]]], by: Actor) -> Head:
    """The head with titles and places; what somebody chose before is kept. Raises Refused."""
    if head.places:
        return head
    with scoped(by):
        choices = ColumnChoice.objects.filter(institution_id=batch.institution_id, kind=batch.kind)
        remembered = dict(choices.values_list("title", "column"))
    titles = find_titles(first, Kind(batch.kind), remembered)
    if not isinstance(titles, Titles):
        raise Refused(titles)
    return Head(list(titles.titles), titles.line, dict(titles.places))


def _hold(batch: Batch, head: Head, part: Sequence[tuple[int, list[str]]], by: Actor) -> None:
    """Keep some rows, encrypted, with whom they name."""
    persons: Sequence[int | None] = [None] * len(part)
    if batch.kind == Kind.VISITS:
        persons = visit_rows.persons_of([cells_of(cells, head.places) for _line, cells in part], by)
    known = keys()
    columns = ["batch_id", "institution_id", "person_id", "line", "status", "token", "key_id"]
    rows = (
        [batch.pk, batch.institution_id, person, line, Status.WAITING.value, *_closed(batch, line, cells, (), known)]
        for (line, cells), person in zip(part, persons, strict=True)
    )
    copy_in(Row._meta.db_table, columns, as_copied(rows))


def _check_rows(batch: Batch, head: Head, by: Actor) -> None:
    """Ask the rules about all rows, those of a person together; then somebody decides."""
    with scoped(by):
        batch.rows, batch.done = Row.objects.filter(batch=batch).count(), 0
        _step(batch, rows=batch.rows, done=0)
        check = _checking(batch, by)
    for part in _parts(batch, by, Status.WAITING):
        with scoped(by):
            _judge(batch, head, part, check)
            batch.done += len(part)
            _step(batch, done=batch.done)
    with scoped(by):
        BatchFile.objects.filter(batch=batch).delete()
        _step(batch, State.CHECKED)
        journal.record("batch.check", record_type="batch", uids=[batch.uid])


Asked = Callable[[Sequence[Mapping[str, str]]], list[Verdict]]


def _checking(batch: Batch, by: Actor) -> Asked:
    """How rows of the batch's kind are checked."""
    if batch.kind == Kind.VISITS:
        return lambda rows: visit_rows.check(rows, by=by)
    return PersonRows(by).check


def _parts(batch: Batch, by: Actor, status: str) -> Iterator[list[Row]]:
    """The rows of a status in parts: by person, none of whom is in two parts, then those of nobody; by line.

    A row that changes its status meanwhile is given once. In this order two batches lock their persons in turn.
    """
    last_person: int | None = 0
    last_line = 0
    while True:
        with scoped(by):
            rows = Row.objects.filter(batch=batch, status=status, person_id__gt=last_person).order_by(
                "person_id", "line"
            )
            part = list(rows[:AT_ONCE])
            if len(part) == AT_ONCE:
                last = part[-1].person_id
                whole = [row for row in part if row.person_id != last]
                part = whole or list(rows.filter(person=last))
        if not part:
            break
        last_person = part[-1].person_id or 0
        yield part
    while True:
        with scoped(by):
            nobodys = Row.objects.filter(batch=batch, status=status, person=None, line__gt=last_line)
            part = list(nobodys.order_by("line")[:AT_ONCE])
        if not part:
            return
        last_line = part[-1].line
        yield part


def _judge(batch: Batch, head: Head, rows: Sequence[Row], ask: Asked) -> list[Verdict]:
    """Ask about rows and keep the answers."""
    known = keys()
    held = [open_row(row, batch, known) for row in rows]
    verdicts = ask([cells_of(one.line, head.places) for one in held])
    told: dict[str, list[int]] = {}
    for one, found in zip(held, verdicts, strict=True):
        if found.problems or one.problems:
            one.row.token, one.row.key_id = _closed(batch, one.row.line, one.line, found.problems, known)
            one.row.status = found.status
            one.row.save(update_fields=["token", "key_id", "status"])
        else:
            told.setdefault(found.status, []).append(one.row.pk)
    for status, pks in told.items():
        Row.objects.filter(pk__in=pks).update(status=status)
    return verdicts


# --- What the worker does: recording ---------------------------------------------------------------------------------


class _NotAll(Exception):
    """A row can no longer be recorded, and all or none was asked for."""


class _Progress:
    """Says how far a recording is while its transaction is open: over a connection of its own, now and then."""

    def __init__(self, batch: Batch, by: Actor) -> None:
        self._batch, self._by, self._told_at = batch.pk, by, datetime.min
        self._voice = ThreadPoolExecutor(max_workers=1)

    def tell(self, done: int) -> None:
        """`done` rows are recorded, as soon as all are."""
        if datetime.now() - self._told_at > timedelta(milliseconds=_TELL_EVERY):
            self._told_at = datetime.now()
            self._voice.submit(self._say, done)

    def _say(self, done: int) -> None:
        try:
            with scoped(self._by):
                Batch.objects.filter(pk=self._batch, state=State.RECORDING).update(done=done)
        finally:
            connection.close()

    def end(self) -> None:
        """Nothing is said from now on: the batch's own row is free."""
        self._voice.shutdown()


@contextmanager
def _progress(batch: Batch, by: Actor) -> Iterator[_Progress]:
    progress = _Progress(batch, by)
    try:
        yield progress
    finally:
        progress.end()


def record_batch(*, uid: UUID, by: Actor) -> None:
    """Record the rows of a batch that can be, in one transaction; done twice it is done once. Raises PermissionDenied.

    Whatever hinders it, nothing is recorded, and the batch waits for a decision again.
    """
    with scoped(by):
        batch = Batch.objects.get(uid=uid, institution_id=by.at_institution())
        _require(by, batch.kind)
        if batch.state != State.RECORDING:
            return
    try:
        try_twice(lambda: _record_all(batch, by))
    except _NotAll:
        _back_to_decide(
            batch,
            Problem("not-all", "檢查後有人登錄了其他資料，或期限已過，有列不能登錄了。依您的選擇，全部都沒有登錄。"),
            by,
        )
    except Exception:
        _back_to_decide(batch, Problem("recording-failed", "登錄時發生問題，全部都沒有登錄。請再試一次。"), by)
        raise


def _record_all(batch: Batch, by: Actor) -> None:
    refused: list[tuple[Row, Verdict]] = []
    with _progress(batch, by) as progress, scoped(by):
        recorded = done = 0
        for part, verdicts in _recording(batch, by):
            refused += [(row, one) for row, one in zip(part, verdicts, strict=True) if one.problems]
            recorded += sum(one.status == Status.GOOD for one in verdicts)
            done += len(part)
            progress.tell(done)
        if refused and batch.all_or_none:
            raise _NotAll
        for row, one in refused:
            _keep_reasons(batch, row, one)
        Row.objects.filter(batch=batch, status__in=[Status.GOOD, Status.SAME]).delete()
        progress.end()
        found = _locked(batch, by)
        found.recorded += recorded
        found.done = done
        found.state = State.CHECKED if Row.objects.filter(batch=found).exists() else State.RECORDED
        if found.state == State.RECORDED:
            _empty(found)
        found.save(update_fields=["recorded", "done", "state", "head", "key_id"])
        journal.record("batch.record", record_type="batch", uids=[found.uid])


def _recording(batch: Batch, by: Actor) -> Iterator[tuple[list[Row], list[Verdict]]]:
    """Record the good rows, part by part: each part with what became of its rows."""
    head, known = Head.of(batch), keys()
    begun: deque[list[Row]] = deque()

    def read(part: list[Row]) -> tuple[list[Row], list[dict[str, str]]]:
        return part, [cells_of(open_row(row, batch, known).line, head.places) for row in part]

    def parts(aside: Aside) -> Iterator[list[dict[str, str]]]:
        for part, cells in aside.ahead(read, _parts(batch, by, Status.GOOD)):
            begun.append(part)
            yield cells

    with Aside() as aside:
        if batch.kind == Kind.VISITS:
            recorded = visit_rows.record_parts(parts(aside), aside=aside, by=by)
        else:
            recorded = map(PersonRows(by).record, parts(aside))
        for verdicts in recorded:
            yield begun.popleft(), verdicts


def _keep_reasons(batch: Batch, row: Row, one: Verdict) -> None:
    row.token, row.key_id = _closed(batch, row.line, open_row(row, batch).line, one.problems)
    row.status = one.status
    row.save(update_fields=["token", "key_id", "status"])


def _back_to_decide(batch: Batch, problem: Problem, by: Actor) -> None:
    """Nothing was recorded: check the rows anew, say why, and wait for a decision."""
    with scoped(by):
        found = _locked(batch, by)
        head = Head.of(found)
        head.problems = [problem]
        head.keep(found)
        found.state = State.CHECKED
        found.save(update_fields=["state", "head", "key_id"])
        check = _checking(found, by)
    for part in _parts(found, by, Status.GOOD):
        with scoped(by):
            _judge(found, head, part, check)


def renew_batches(*, by: Actor) -> int:
    """Encrypt anew under the current key what is held under another one. Returns how many. As the owner.

    Raises PermissionDenied, KeyMissing, Tampered.
    """
    by.require(Permission.KEY_ROTATE)
    known, renewed = keys(), 0
    with transaction.atomic():
        for batch in Batch.objects.select_for_update().exclude(key_id="").exclude(key_id=known.current):
            Head.of(batch).keep(batch)
            batch.save(update_fields=["head", "key_id"])
            renewed += 1
        for file in (
            BatchFile.objects.select_for_update(of=("self",)).select_related("batch").exclude(key_id=known.current)
        ):
            content = known.decrypt_bytes(file.token, file.key_id, about=_about(file.batch))
            file.token, file.key_id = known.encrypt_bytes(content, about=_about(file.batch))
            file.save(update_fields=["token", "key_id"])
            renewed += 1
        rows = Row.objects.select_for_update(of=("self",)).select_related("batch").exclude(key_id=known.current)
        for row in rows.iterator(chunk_size=AT_ONCE):
            about = _about(row.batch, row.line)
            row.token, row.key_id = known.encrypt(known.decrypt(row.token, row.key_id, about=about), about=about)
            row.save(update_fields=["token", "key_id"])
            renewed += 1
        if renewed:
            journal.record(Permission.KEY_ROTATE, record_type="batch", fields=["file"])
    return renewed
