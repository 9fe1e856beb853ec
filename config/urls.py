"""Routes HTTP paths to views."""

from django.conf import settings
from django.contrib import admin
from django.urls import path, re_path

from .api import api
from .asyncapi.views import asyncapi_json, asyncapi_yaml
from .doctor.echo import echo
from .health import healthz, readyz
from .observability.metrics import metrics
from .openapi import openapi_json
from .views import to_admin, upgrade_required, websocket_guide
from .web.urls import pages

handler500 = "config.views.server_error"
urlpatterns = [
    *(pages() if settings.CHAT_WEB else []),
    path("api/openapi.json", openapi_json),  # before ninja's own, which is rebuilt at each request
    path("api/asyncapi.json", asyncapi_json),
    path("api/asyncapi.yaml", asyncapi_yaml),
    path("api/", api.urls),
    path("admin", to_admin),  # APPEND_SLASH is off: it would redirect the API too
    path("admin/", admin.site.urls),
    re_path(r"^ws(?:/|$)", upgrade_required),
    path("docs/websocket.md", websocket_guide),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("doctor", echo),
]
