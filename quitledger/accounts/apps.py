from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "quitledger.accounts"
    label = "accounts"
