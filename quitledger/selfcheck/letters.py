"""The words of a reminder by mail. It names no patient and says nothing of one: institutions, numbers, dates."""

from collections.abc import Iterator

from quitledger.policy import Month, Sentence, Several, Words

from .rules import Missing
from .services import Letter


def subject_of(letter: Letter) -> str:
    """The subject: which month."""
    return str(Sentence("{month}就醫資料自行清查提醒", month=Month(letter.month)))


def body_of(letter: Letter) -> str:
    """The text: what is missing at each institution, until when, and where to go. No address to click on, so that nobody
    learns to sign in by a link in a mail."""
    lines = [str(Sentence("{month}的就醫資料還有待處理：", month=Month(letter.month))), ""]
    for line in letter.lines:
        said = Sentence(
            "・{institution}：{missing}。登錄期限 {closing}。",
            institution=line.institution, missing=Several(_said(line.missing)), closing=line.closes_at,
        )  # fmt: skip
        lines.append(str(said))
    return "\n".join([*lines, "", *_ENDING, ""])


_ENDING = (
    Words("請登入 Quitledger 戒菸登錄，開啟「每月自行清查」。"),
    Words("全部補齊並簽核後就不再提醒；要改收信地址或停止寄信，請到「每月自行清查」的「設定提醒信」。"),
)


def _said(missing: Missing) -> Iterator[str]:
    if missing.incomplete:
        yield Sentence("未完整 {n} 筆", n=missing.incomplete)
    if missing.drafts:
        yield Sentence("您的草稿 {n} 筆", n=missing.drafts)
    if missing.to_sign:
        yield Words("待業務主管簽核")
