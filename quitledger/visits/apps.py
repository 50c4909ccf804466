from django.apps import AppConfig


class VisitsConfig(AppConfig):
    name = "quitledger.visits"
    label = "visits"
