from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "quitledger.cases"
    label = "cases"
