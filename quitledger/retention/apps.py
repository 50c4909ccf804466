from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "quitledger.retention"
    label = "retention"
