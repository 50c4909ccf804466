"""`quitledger policy`: read the dated rules from the command line. Needs no database and no Django."""

import json
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from quitledger.policy.pages import write_pages
from quitledger.policy.reader import DatedValue, Parameter, UnknownPolicy, parameter, parameters
from quitledger.policy.roc_dates import DateError, parse_date
from quitledger.policy.roc_formats import TAIPEI, format_roc


class DateRefused(click.ClickException):
    """A day that does not exist: one sentence, without click's lines on usage."""

    exit_code = 2


class RocDate(click.ParamType[date]):
    """A date option in ROC or ISO form."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return parse_date(value)
        except DateError as fault:
            raise DateRefused(str(fault)) from None


on_option = click.option(
    "--on",
    "day",
    type=RocDate(),
    metavar="DATE",
    help="查哪一天（114/2/15、1140215 或 2025-02-15），預設今天。 / The day asked about; today unless given.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="輸出 JSON。 / Print JSON.")


@click.group(short_help="規定值與來源 / Policy values and their sources")
def policy() -> None:
    """查詢各項規定值、生效日與來源。

    Show the rules of the programme: dated values and their sources.
    """


@policy.command("list", short_help="列出所有規定值 / List every parameter")
@on_option
@json_option
def list_parameters(day: date | None, as_json: bool) -> None:
    """列出所有規定，以及某一天有效的值。

    List every parameter with the value in force on a day.
    """
    day = day or _today()
    if as_json:
        _print_json([_as_json(entry, day) for entry in parameters()])
        return
    subject = None
    for entry in parameters():
        if entry.subject != subject:
            subject = entry.subject
            click.echo(f"\n{subject} · {entry.subject_en}")
        click.echo(f"  {entry.name}\n      {entry.title}：{_value_in_force(entry, day)}")


@policy.command(short_help="一項規定的值、來源與歷史 / One parameter with its history")
@click.argument("name")
@on_option
@json_option
def show(name: str, day: date | None, as_json: bool) -> None:
    """顯示一項規定：單位、某一天有效的值、來源或「假設」，以及歷次的值。

    Show one parameter: unit, the value in force on a day, its source or "assumed", and its history.
    """
    day = day or _today()
    try:
        entry = parameter(name)
    except UnknownPolicy as fault:
        near = get_close_matches(name, [known.name for known in parameters()])
        hint = f"是不是要找：{'、'.join(near)}？" if near else "請用 quitledger policy list 查名稱。"
        raise click.ClickException(f"{fault}{hint}") from None
    if as_json:
        _print_json(_as_json(entry, day))
        return
    assumed = "（假設）" if entry.day_assumed else ""
    click.echo(f"{entry.title}（{entry.name}）\n{entry.title_en}\n")
    click.echo(f"單位：{entry.unit}")
    click.echo(f"適用日：{entry.day.label}{assumed}")
    click.echo(f"違反時：{entry.when_broken.effect.label}。{entry.when_broken.explanation}")
    if entry.note:
        click.echo(f"說明：{entry.note}")
    click.echo(f"\n{format_roc(day)} 有效的值：{_value_in_force(entry, day)}\n\n歷次的值：")
    for dated in entry.values:
        start = "（起始日為假設）" if dated.start_assumed else ""
        click.echo(f"  {format_roc(dated.starts_on)} 起{start}：{entry.text_of(dated.value)}　依據：{dated.basis}")
        if dated.note:
            click.echo(f"      {dated.note}")


@policy.command(short_help="產生規定值的說明頁 / Generate the pages of docs/policy")
@click.argument("folder", metavar="[DIR]", default="docs/policy", type=click.Path(file_okay=False, path_type=Path))
def docs(folder: Path) -> None:
    """產生每項規定一頁的說明文件與目錄，預設寫入 docs/policy。

    Write one Markdown page per parameter and an index, into docs/policy unless DIR is given.
    """
    click.echo(f"已寫入 {write_pages(folder)} 頁。 / Pages written.")


def _today() -> date:
    return datetime.now(TAIPEI).date()


def _value_in_force(entry: Parameter, day: date) -> str:
    dated = entry.in_force_on(day)
    if dated is None:
        return f"沒有（{format_roc(entry.values[0].starts_on)} 以前沒有規定值）"
    return f"{entry.text_of(dated.value)}（依據：{dated.basis}）"


def _as_json(entry: Parameter, day: date) -> dict[str, Any]:
    dated = entry.in_force_on(day)
    return {
        "name": entry.name,
        "title": entry.title,
        "title_en": entry.title_en,
        "subject": entry.subject,
        "unit": entry.unit,
        "day": entry.day,
        "day_assumed": entry.day_assumed,
        "when_broken": {"effect": entry.when_broken.effect, "explanation": entry.when_broken.explanation},
        "note": entry.note,
        "words": entry.words,
        "on": day.isoformat(),
        "in_force": dated and _dated_as_json(dated),
        "values": [_dated_as_json(each) for each in entry.values],
    }


def _dated_as_json(dated: DatedValue) -> dict[str, Any]:
    return {
        "from": dated.starts_on.isoformat(),
        "value": dated.value,
        "source": dated.source,
        "assumed": dated.assumed,
        "start_assumed": dated.start_assumed,
        "note": dated.note,
    }


def _print_json(answer: Any) -> None:
    # Mappings of the policy are read-only proxies, which json does not know.
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2, default=dict))
