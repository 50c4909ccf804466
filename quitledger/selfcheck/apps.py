from django.apps import AppConfig


class SelfcheckConfig(AppConfig):
    name = "quitledger.selfcheck"
    label = "selfcheck"
