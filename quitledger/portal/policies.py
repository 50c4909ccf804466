"""規定與來源: every number of the programme, since when, and on whose word."""

from itertools import groupby

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from quitledger.policy import UnknownPolicy, parameter, parameters

from .permissions import public


@public
@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    """All parameters with the value in force today, by subject."""
    today = request.desk.today  # type: ignore[attr-defined]
    rows = [(each, each.in_force_on(today)) for each in parameters()]
    lines = [(each, dated, each.text_of(dated.value) if dated else "") for each, dated in rows]
    subjects = [(subject, list(group)) for subject, group in groupby(lines, key=lambda line: line[0].subject)]
    return render(request, "policies/list.html", {"subjects": subjects})


@public
@require_safe
def policy_show(request: HttpRequest, name: str) -> HttpResponse:
    """One parameter: the value in force, the day that selects it, what breaking it does, and its history."""
    try:
        entry = parameter(name)
    except UnknownPolicy as fault:
        raise Http404 from fault
    current = entry.in_force_on(request.desk.today)  # type: ignore[attr-defined]
    history = [(dated, entry.text_of(dated.value), dated is current) for dated in reversed(entry.values)]
    text = entry.text_of(current.value) if current else ""
    return render(request, "policies/show.html", {"entry": entry, "current": current, "text": text, "history": history})
