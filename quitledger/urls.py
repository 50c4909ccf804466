"""Every address of the site, and what answers where none is meant."""

from django.urls import include, path

urlpatterns = [
    path("", include("quitledger.portal.urls")),
    path("accounts/", include("quitledger.portal.sign_in_urls")),
]

handler400 = "quitledger.portal.refusals.bad_request"
handler403 = "quitledger.portal.refusals.forbidden"
handler404 = "quitledger.portal.refusals.not_found"
handler429 = "quitledger.portal.refusals.too_many"
handler500 = "quitledger.portal.refusals.server_error"
