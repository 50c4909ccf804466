from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "quitledger.portal"
    label = "portal"

    def ready(self) -> None:
        from . import signals  # noqa: F401  connects the receivers
