"""Push services are reached over TLS with a certificate that this machine trusts."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pytest_django import Settings

from messaging.push import http_post
from messaging.push.endpoints import parse_endpoint
from messaging.push.http_post import post
from tests.push_service import PushService, push_service_running


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def service(authority: trustme.CA, settings: Settings) -> Iterator[PushService]:
    settings.CHAT_PUSH_LOOPBACK = True
    with push_service_running() as running:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        running.server.socket = context.wrap_socket(running.server.socket, server_side=True)
        running.url = running.url.replace("http:", "https:")
        yield running


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    http_post.tls_context.cache_clear()
    yield
    http_post.tls_context.cache_clear()


def test_a_trusted_push_service_receives_the_request(
    service: PushService, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert post(parse_endpoint(f"{service.url}/x"), {"TTL": "1"}, b"body").status == 201
    (received,) = service.received
    assert (received.path, received.body, received.headers["ttl"]) == ("/x", b"body", "1")


def test_another_certificate_is_refused(service: PushService) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        post(parse_endpoint(f"{service.url}/x"), {}, b"body")
    assert service.received == []
