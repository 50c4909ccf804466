from django.apps import AppConfig


class StatisticsConfig(AppConfig):
    name = "quitledger.statistics"
    label = "statistics"
