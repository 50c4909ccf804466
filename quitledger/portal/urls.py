"""Addresses of the portal's own pages. Identity numbers never stand in one."""

from datetime import date

from django.urls import path, register_converter

from quitledger.batches.columns import Kind
from quitledger.corrections.rules import ItemKind, Step
from quitledger.interop.annual_file import FORMATS
from quitledger.policy import parse_month
from quitledger.policy.roc_formats import ROC_EPOCH
from quitledger.statistics.indicators import indicators

from . import (
    applying,
    audit,
    batches,
    breakdowns,
    cases,
    comparisons,
    corrections,
    courses,
    evidence,
    gallery,
    help,
    home,
    invitations,
    languages,
    maintain,
    merging,
    paper,
    people,
    places,
    policies,
    publications,
    query,
    registers,
    selfcheck,
    sign_in,
    statistics,
    visits,
    windows,
)
from .register_lists import REGISTERS


class RegisterName:
    """The desk's lists."""

    regex = "|".join(REGISTERS)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class CorrectionKind:
    """What of a recorded visit is put right."""

    regex = "|".join(kind for kind in (*applying.KINDS_OF_A_VISIT, ItemKind.RESTORE))

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class CorrectionStep:
    """A step with an application that is there."""

    regex = "|".join(step for step in Step if step not in (Step.WRITE, Step.REGISTER))

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class FileFormat:
    """The formats of a download."""

    regex = "csv|ods|json"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class TableFormat:
    """The formats of the annual tables."""

    regex = "|".join(FORMATS)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class SheetFormat:
    """The formats in which a file of rows is sent and taken back."""

    regex = "csv|xlsx|ods"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class RowKind:
    """What the rows of a file are."""

    regex = "|".join(Kind)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class MonthInAddress:
    """A month, 114-03 or 2025-03; its first day."""

    regex = "[0-9]{2,4}-[0-9]{1,2}"

    def to_python(self, value: str) -> date:
        return parse_month(value)  # what is no month is no address of ours: DateError is a ValueError

    def to_url(self, value: date) -> str:
        return f"{value.year - ROC_EPOCH}-{value:%m}"


class GroupingName:
    """By what the annual statistics are broken down."""

    regex = "|".join(breakdowns.BROKEN_DOWN_BY)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class IndicatorName:
    """A number of the annual statistics."""

    regex = "|".join(indicators())

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(FileFormat, "format")
register_converter(TableFormat, "table")
register_converter(SheetFormat, "sheet")
register_converter(RowKind, "rows")
register_converter(MonthInAddress, "month")
register_converter(RegisterName, "register")
register_converter(GroupingName, "grouping")
register_converter(IndicatorName, "indicator")
register_converter(CorrectionKind, "kind")
register_converter(CorrectionStep, "step")

urlpatterns = [
    path("", home.home, name="home"),
    path("resume", sign_in.resume, name="resume"),
    path("institution", places.switch_institution, name="switch_institution"),
    path("cases/find", cases.case_find, name="case_find"),
    path("cases/new", cases.case_register, name="case_register"),
    path("cases/<uuid:uid>", cases.case_show, name="case_show"),
    path("cases/<uuid:uid>/identity", cases.case_identity, name="case_identity"),
    path("cases/<uuid:uid>/change", cases.case_change, name="case_change"),
    path("cases/<uuid:uid>/person", cases.person_correct, name="person_correct"),
    path("cases/<uuid:uid>/person/change", cases.case_person_change, name="case_person_change"),
    path("cases/<uuid:uid>/merge", merging.merge_find, name="merge_find"),
    path("cases/<uuid:uid>/merge/decide", merging.person_merge, name="person_merge"),
    path("merges", merging.merge_list, name="merge_list"),
    path("merges/<uuid:uid>", merging.merge_show, name="merge_show"),
    path("merges/<uuid:uid>/undo", merging.merge_undo, name="merge_undo"),
    path("cases/<uuid:uid>/baselines/new", cases.baseline_record, name="baseline_record"),
    path("cases/<uuid:uid>/visits/new", visits.visit_record, name="visit_record"),
    path("visits", query.visit_query, name="visit_query"),
    path("visits/<uuid:uid>", visits.visit_show, name="visit_show"),
    path("visits/<uuid:uid>/change", maintain.visit_change, name="visit_change"),
    path("visits/<uuid:uid>/void", maintain.visit_void, name="visit_void"),
    path("visits/<uuid:uid>/restore", maintain.visit_restore, name="visit_restore"),
    path("visits/<uuid:uid>/correct", applying.correction_choose, name="correction_choose"),
    path("visits/<uuid:uid>/correct/<kind:kind>", applying.correction_visit, name="correction_visit"),
    path("cases/<uuid:uid>/late-entry", applying.correction_late_entry, name="correction_late_entry"),
    path("cases/<uuid:uid>/person/apply", applying.correction_person, name="correction_person"),
    path("batches", batches.batch_list, name="batch_list"),
    path("batches/new", batches.batch_upload, name="batch_upload"),
    path("batches/empty-<rows:kind>.<sheet:file_format>", batches.batch_sample, name="batch_sample"),
    path("batches/<uuid:uid>", batches.batch_show, name="batch_show"),
    path("batches/<uuid:uid>.<sheet:file_format>", batches.batch_download, name="batch_download"),
    path("batches/<uuid:uid>/columns", batches.batch_columns, name="batch_columns"),
    path("batches/<uuid:uid>/rows/<int:line>", batches.batch_row, name="batch_row"),
    path("batches/<uuid:uid>/record", batches.batch_record, name="batch_record"),
    path("batches/<uuid:uid>/give-up", batches.batch_give_up, name="batch_give_up"),
    path("comparisons/new", comparisons.comparison_new, name="comparison_new"),
    path("comparisons/<uuid:uid>", comparisons.comparison_show, name="comparison_show"),
    path("comparisons/<uuid:uid>/remove", comparisons.comparison_remove, name="comparison_remove"),
    path("corrections", corrections.correction_list, name="correction_list"),
    path("corrections/numbers", corrections.correction_numbers, name="correction_numbers"),
    path(
        "corrections/numbers.<format:file_format>",
        corrections.correction_numbers_download,
        name="correction_numbers_download",
    ),
    path("corrections.<format:file_format>", corrections.correction_download, name="correction_download"),
    path("corrections/<uuid:uid>", corrections.correction_show, name="correction_show"),
    path("corrections/<uuid:uid>/identity", corrections.correction_identity, name="correction_identity"),
    path("corrections/<uuid:uid>/items/<uuid:item>", applying.correction_item, name="correction_item"),
    path("corrections/<uuid:uid>/<step:step>", corrections.correction_step, name="correction_step"),
    path("selfcheck", selfcheck.selfcheck_index, name="selfcheck_index"),
    path("selfcheck/<month:month>", selfcheck.selfcheck_month, name="selfcheck_month"),
    path("selfcheck/<month:month>/sign", selfcheck.selfcheck_sign, name="selfcheck_sign"),
    path("selfcheck/<month:month>/review", selfcheck.selfcheck_review, name="selfcheck_review"),
    path(
        "selfcheck/<month:month>/review.<format:file_format>", selfcheck.selfcheck_download, name="selfcheck_download"
    ),
    path("selfcheck/signed/<uuid:uid>", selfcheck.selfcheck_signed, name="selfcheck_signed"),
    path("reminders", selfcheck.reminder_address, name="reminder_address"),
    path("visits.<format:file_format>", query.visit_download, name="visit_download"),
    path("cases/<uuid:uid>/sheet.pdf", paper.case_sheet, name="case_sheet"),
    path("corrections/<uuid:uid>/form.pdf", paper.correction_form, name="correction_form"),
    path("corrections/<uuid:uid>/evidence", evidence.correction_attach, name="correction_attach"),
    path("corrections/<uuid:uid>/evidence/sheet", paper.correction_attach_sheet, name="correction_attach_sheet"),
    path("corrections/<uuid:uid>/evidence/<uuid:evidence>", evidence.correction_evidence, name="correction_evidence"),
    path(
        "corrections/<uuid:uid>/evidence/<uuid:evidence>/remove", evidence.correction_detach, name="correction_detach"
    ),
    path("people", people.person_list, name="person_list"),
    path("people/new", people.person_invite, name="person_invite"),
    path("people/<uuid:uid>", people.person_show, name="person_show"),
    path("people/<uuid:uid>/change", people.person_change, name="person_change"),
    path("people/<uuid:uid>/password", people.person_password, name="person_password"),
    path("people/<uuid:uid>/second-factor", people.person_second_factor, name="person_second_factor"),
    path("people/<uuid:uid>/unlock", people.person_unlock, name="person_unlock"),
    path("people/<uuid:uid>/confirm", people.person_confirm, name="person_confirm"),
    path("people/<uuid:uid>/end", people.person_end, name="person_end"),
    path("people/<uuid:uid>/drafts", people.person_drafts, name="person_drafts"),
    path("invitation", invitations.account_accept, name="account_accept"),
    path("language", languages.switch_language, name="switch_language"),
    path("notices", invitations.account_notices, name="account_notices"),
    path("course-findings", courses.course_finding_list, name="course_finding_list"),
    path("registers", registers.register_index, name="register_index"),
    path("registers/findings", registers.finding_list, name="finding_list"),
    path("registers/findings.<format:file_format>", registers.finding_download, name="finding_download"),
    path("registers/<register:register>", registers.register_list, name="register_list"),
    path("registers/<register:register>.<format:file_format>", registers.register_download, name="register_download"),
    path("registers/<register:register>/new", registers.register_record, name="register_record"),
    path("registers/<register:register>/import", registers.register_import, name="register_import"),
    path("registers/<register:register>/empty.csv", registers.register_sample, name="register_sample"),
    path("registers/<register:register>/<int:pk>", registers.register_show, name="register_show"),
    path("registers/<register:register>/<int:pk>/change", registers.register_change, name="register_change"),
    path("statistics", statistics.annual_statistics, name="statistics"),
    path("statistics/<int:year>", statistics.annual_statistics, name="annual_statistics"),
    path("statistics/<int:year>/by/<grouping:grouping>", breakdowns.annual_breakdown, name="annual_breakdown"),
    path(
        "statistics/<int:year>/by/<grouping:grouping>.<format:file_format>",
        breakdowns.annual_breakdown_download,
        name="annual_breakdown_download",
    ),
    path("statistics/<int:year>/rows/<indicator:name>", breakdowns.annual_rows, name="annual_rows"),
    path("statistics/<int:year>.<table:file_format>", publications.annual_download, name="annual_download"),
    path("statistics/<int:year>/dictionary.csv", publications.annual_dictionary, name="annual_dictionary"),
    path("statistics/<int:year>/publish", publications.statistics_publish, name="statistics_publish"),
    path("statistics/publications", publications.publication_list, name="publication_list"),
    path("statistics/publications/<uuid:publication>", publications.publication_show, name="publication_show"),
    path(
        "statistics/publications/<uuid:publication>.<table:file_format>",
        publications.publication_download,
        name="publication_download",
    ),
    path(
        "statistics/publications/<uuid:publication>/dictionary.csv",
        publications.publication_dictionary,
        name="publication_dictionary",
    ),
    path("audit", audit.audit_trail, name="audit_trail"),
    path("audit.<format:file_format>", audit.audit_download, name="audit_download"),
    path("windows", windows.window_list, name="window_list"),
    path("windows/new", windows.window_extend, name="window_extend"),
    path("policies", policies.policy_list, name="policy_list"),
    path("policies/<slug:name>", policies.policy_show, name="policy_show"),
    path("help/connection", help.help_connection, name="help_connection"),
    path("components", gallery.component_gallery, name="component_gallery"),
    path("favicon.ico", help.favicon, name="favicon"),
    path("healthz", help.healthz, name="healthz"),
]
