"""Pages for whoever cannot get in, and the answer for whoever watches the server."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .permissions import public


@public
@require_safe
def help_connection(request: HttpRequest) -> HttpResponse:
    """無法連線？ The advice of the agency's notice, section 壹 (site certificates renewed, proxies not updated)."""
    return render(request, "help_connection.html", {"host": request.get_host()})


@public
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Where browsers look for our sign beside what is no page (a picture)."""
    return redirect(static("quitledger/favicon.svg"))


@public
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """`ok` while web process and database answer: the transaction around this view has read the database's clock."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")
