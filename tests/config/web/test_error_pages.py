"""Error pages for browsers; JSON and plain answers for others."""

import sys
from contextvars import copy_context
from types import ModuleType

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path
from pytest_django import Settings

from accounts.kernel.log_context import begin
from config.urls import handler500, urlpatterns
from config.web.csp import POLICY

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ERRORS = {
    400: SuspiciousOperation("secret detail"),
    403: PermissionDenied("secret detail"),
    404: Http404("secret detail"),
    500: LookupError("secret detail"),
}


def fail(request: HttpRequest, status: int) -> HttpResponse:
    raise ERRORS[status]


@pytest.fixture
def client(settings: Settings) -> Client:
    urls = ModuleType("urls_of_errors")
    urls.urlpatterns = [path("fail/<int:status>", fail), *urlpatterns]  # type: ignore[attr-defined]
    urls.handler500 = handler500  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls
    settings.ROOT_URLCONF = urls.__name__
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("status", ERRORS)
def test_browser_sees_a_page_with_the_request_id(
    client: Client, settings: Settings, status: int
) -> None:
    settings.DEBUG = False
    context = copy_context()  # a copy: tests of logs expect that there is no request
    context.run(begin, "request_id", "id-of-this-request")
    answer = context.run(client.get, f"/fail/{status}", headers=HTML)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    text = answer.content.decode()
    assert f"Error {status}" in text
    assert "id-of-this-request" in text
    assert "secret" not in text


def test_page_of_a_500_needs_neither_templates_nor_database(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the `django_db` mark a query raises an error."""
    settings.DEBUG = False
    client.get("/", headers=HTML)  # the server has started

    def broken(*args: object, **options: object) -> None:
        raise OSError

    monkeypatch.setattr(engines["django"], "get_template", broken)
    answer = client.get("/fail/500", headers=HTML)
    assert answer.status_code == 500
    assert b"Something went wrong on the server" in answer.content


@pytest.mark.parametrize("status", [403, 404])
def test_debug_shows_the_same_page_where_there_is_no_traceback(
    client: Client, settings: Settings, status: int
) -> None:
    settings.DEBUG = True
    answer = client.get(f"/fail/{status}", headers=HTML)
    assert answer.status_code == status
    assert f"Error {status}" in answer.content.decode()


@pytest.mark.parametrize("status", [400, 500])
def test_debug_shows_the_traceback_to_developers(
    client: Client, settings: Settings, status: int
) -> None:
    settings.DEBUG = True
    answer = client.get(f"/fail/{status}", headers=HTML)
    assert answer.status_code == status
    assert b"secret detail" in answer.content
    assert b"Traceback" in answer.content


@pytest.mark.parametrize("status", ERRORS)
def test_programs_get_no_page(client: Client, settings: Settings, status: int) -> None:
    settings.DEBUG = False
    answer = client.get(f"/fail/{status}", headers={"accept": "*/*"})
    assert answer.status_code == status
    assert b"site.css" not in answer.content


@pytest.mark.parametrize("debug", [False, True])
def test_api_answers_json_to_browsers_too(
    client: Client, settings: Settings, *, debug: bool
) -> None:
    settings.DEBUG = debug
    answer = client.get("/api/nothing", headers=HTML)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_foreign_host_gets_the_page_of_a_400(client: Client, settings: Settings) -> None:
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["chat.example"]
    answer = client.get("/", headers=HTML | {"host": "evil.example"})
    assert answer.status_code == 400
    assert b"Error 400" in answer.content
    assert b"evil.example" not in answer.content
