from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "quitledger.accounts"
    label = "accounts"

    def ready(self) -> None:
        # Django's would note the moment by the machine's clock; ours is services.note_sign_in.
        user_logged_in.disconnect(dispatch_uid="update_last_login")
