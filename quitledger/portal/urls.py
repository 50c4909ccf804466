"""Addresses of the portal's own pages. Identity numbers never stand in one."""

from django.urls import path, register_converter

from . import cases, courses, help, home, maintain, places, policies, query, sign_in, visits, windows


class FileFormat:
    """The formats of a download."""

    regex = "csv|ods|json"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(FileFormat, "format")

urlpatterns = [
    path("", home.home, name="home"),
    path("resume", sign_in.resume, name="resume"),
    path("institution", places.switch_institution, name="switch_institution"),
    path("cases/find", cases.case_find, name="case_find"),
    path("cases/new", cases.case_register, name="case_register"),
    path("cases/<uuid:uid>", cases.case_show, name="case_show"),
    path("cases/<uuid:uid>/identity", cases.case_identity, name="case_identity"),
    path("cases/<uuid:uid>/baselines/new", cases.baseline_record, name="baseline_record"),
    path("cases/<uuid:uid>/visits/new", visits.visit_record, name="visit_record"),
    path("visits", query.visit_query, name="visit_query"),
    path("visits/<uuid:uid>", visits.visit_show, name="visit_show"),
    path("visits/<uuid:uid>/change", maintain.visit_change, name="visit_change"),
    path("visits/<uuid:uid>/void", maintain.visit_void, name="visit_void"),
    path("visits/<uuid:uid>/restore", maintain.visit_restore, name="visit_restore"),
    path("visits.<format:file_format>", query.visit_download, name="visit_download"),
    path("course-findings", courses.course_finding_list, name="course_finding_list"),
    path("windows", windows.window_list, name="window_list"),
    path("windows/new", windows.window_extend, name="window_extend"),
    path("policies", policies.policy_list, name="policy_list"),
    path("policies/<slug:name>", policies.policy_show, name="policy_show"),
    path("help/connection", help.help_connection, name="help_connection"),
    path("healthz", help.healthz, name="healthz"),
]
