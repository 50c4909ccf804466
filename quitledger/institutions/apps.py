from django.apps import AppConfig


class InstitutionsConfig(AppConfig):
    name = "quitledger.institutions"
    label = "institutions"
