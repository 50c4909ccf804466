"""證明文件: what may be attached to an application, by whom and when. Values in, every problem out; and the look at a file.

Source: the agency's notice, section 參 (the form goes with the case record sheet); sizes and numbers are assumed
(policy/data/8_corrections.yaml).
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from threading import Lock

from quitledger.policy import policy_on
from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence, Words

from .evidence_reading import MOST_SECONDS, Look
from .rules import STATES, State

MEGABYTE = 1_048_576  # bytes
_LONGEST = 2 * MOST_SECONDS  # seconds on a busy machine
_ONE_AT_A_TIME = Lock()  # in each process: what one look may take in memory is known


class EvidenceKind(StrEnum):
    """What a file is, by its content."""

    PDF = "pdf"
    JPEG = "jpeg"
    PNG = "png"

    @property
    def label(self) -> Words:
        """As it is called."""
        return Words(self.value.upper())

    @property
    def content_type(self) -> str:
        """Its media type."""
        return "application/pdf" if self is EvidenceKind.PDF else f"image/{self}"


class Origin(StrEnum):
    """Where a piece of evidence comes from."""

    SENT = "sent"
    CASE_SHEET = "case_sheet"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return Words("證明文件") if self is Origin.SENT else Words("個案紀錄表")


@dataclass(frozen=True)
class Asker:
    """Whoever wants to attach or remove: of the institution or of the desk, and what the application is to him there."""

    of_desk: bool
    registered_it: bool = False  # the paper that it came on is on his table
    claimed_it: bool = False


REFUSALS = {
    "kind-unknown": Words(
        "只收 PDF、JPEG、PNG 檔。這個檔案的內容不是其中一種（與檔名無關）。手機的 HEIC 照片請先轉成 JPEG，Word 檔請存成 PDF。"
    ),
    "unreadable": Words("這個檔案讀不出來，可能沒有存完整。請重新掃描或另存新檔後再選一次。"),
    "picture-too-large": Words("這張圖片的像素太多。請以 300 dpi 重新掃描，或縮小後再選一次。"),
    "picture-moves": Words("這是會動的圖片，請改用一般的 PNG 或 JPEG。"),
    "pdf-encrypted": Words("這份 PDF 有密碼或限制，審核的人打不開。請移除密碼，或重新列印成 PDF。"),
    "pdf-active": Words("這份 PDF 裡有程式碼、附件或會啟動別的程式的內容，為了安全不收。請重新列印成 PDF 後再選一次。"),
    "pdf-more": Words("這份 PDF 的後面接著別的資料，為了安全不收。請重新列印成 PDF 後再選一次。"),
    "too-much": Words("這個檔案太複雜，無法檢查。請重新列印成 PDF 或重新掃描後再選一次。"),
}


def most_bytes_on(day: date) -> int:
    """How large a file may be on a day, in bytes. Raises PolicyGap."""
    return int(policy_on(day, "evidence_most_megabytes")) * MEGABYTE


def check_attaching(*, state: State, asker: Asker, held: int, today: date) -> list[Problem]:
    """Every reason why nothing can be attached now. `held`: how many pieces there are. Field: file."""
    problems = []
    if not may_attach(state, asker):
        message = Sentence(
            "這件申請現在是「{state}」，不能附上文件。機構在草稿或等機構回覆時、承辦人在審核中時可以。",
            state=STATES[state].label,
        )
        problems.append(Problem("evidence-not-now", message, "file"))
    most = policy_on(today, "evidence_most_files")
    if held >= most:
        message = Sentence("一件申請最多 {most} 份證明文件，請合併成一份 PDF。", most=most)
        problems.append(Problem("evidence-too-many", message, "file", "evidence_most_files"))
    return problems


def may_attach(state: State, asker: Asker) -> bool:
    """The institution while it writes or is asked; the desk with paper that it registers, and what it has claimed."""
    if asker.of_desk:
        return state is State.NEW and asker.registered_it or state is State.IN_REVIEW and asker.claimed_it
    return state in (State.DRAFT, State.WAITING)


def check_removing(*, state: State, asker: Asker) -> list[Problem]:
    """Every reason why nothing can be taken away: what was sent stays. Field: none."""
    if state is State.DRAFT and not asker.of_desk:
        return []
    return [Problem("evidence-sent", "送出的證明文件不能移除；還可以再附上別的。")]


def check_size(size: int, today: date) -> list[Problem]:
    """A file that is empty or too large, in bytes. Field: file."""
    if size == 0:
        return [Problem("evidence-empty", "這個檔案是空的，請重新選擇。", "file")]
    if size > most_bytes_on(today):
        most = policy_on(today, "evidence_most_megabytes")
        message = Sentence("檔案超過 {most} MB。請降低掃描的解析度，或分成幾份。", most=most)
        return [Problem("evidence-too-large", message, "file", "evidence_most_megabytes")]
    return []


def looked_at(content: bytes) -> tuple[Look, bytes] | Problem:
    """What a file is and the bytes to be kept (evidence_reading), or why it is not taken. Field: file."""
    with _ONE_AT_A_TIME:
        try:
            done = subprocess.run(  # noqa: S603 - our own program; the file is its input, never a word of the command
                [sys.executable, "-I", "-m", f"{__package__}.evidence_reading"],
                input=content, capture_output=True, timeout=_LONGEST, env={}, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return _refusal("too-much")
    line, _newline, kept = done.stdout.partition(b"\n")
    if done.returncode or not line:  # a limit ended it
        return _refusal("too-much")
    answer = json.loads(line)
    return _refusal(answer["refused"]) if "refused" in answer else (Look(**answer), kept)


def _refusal(code: str) -> Problem:
    return Problem(f"evidence-{code}", REFUSALS[code], "file")
