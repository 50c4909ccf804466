from django.apps import AppConfig


class CorrectionsConfig(AppConfig):
    name = "quitledger.corrections"
    label = "corrections"
