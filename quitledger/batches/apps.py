from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "quitledger.batches"
    label = "batches"
