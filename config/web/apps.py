"""Names the Django app of the pages; only with CHAT_WEB it is installed."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "config.web"
    label = "web"
