from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "quitledger.ops"
    label = "ops"
