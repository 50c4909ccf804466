from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "quitledger.portal"
    label = "portal"
