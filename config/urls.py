"""HTTP addresses."""

from django.contrib import admin
from django.urls import path

from realtime.doctor.echo import echo

from .api import api
from .health import healthz, readyz
from .metrics import metrics
from .openapi import openapi_json
from .pages import websocket_guide

urlpatterns = [
    path("api/openapi.json", openapi_json),  # before ninja's own, which is built at each request
    path("api/", api.urls),
    path("admin/", admin.site.urls),
    path("docs/websocket.md", websocket_guide),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("doctor", echo),
]
