from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "quitledger.audit"
    label = "audit"
