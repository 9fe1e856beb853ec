"""The doctor in a container: straight at a server, and through nginx."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tls_proxy import make_authority

from .nginx import BINARY, nginx_running
from .stack import ADDRESSES, Stack

DOCTOR = ["python", "manage.py", "doctor", "--url"]


def test_server_reached_without_its_proxy_is_reported(stack: Stack) -> None:
    one = stack.containers[0]
    done = one.run([*DOCTOR, one.http])
    assert (done.returncode, done.stderr) == (1, "")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong ")]
    assert any("A client can choose the address" in line for line in wrong), done.stdout
    assert "abc123" not in done.stdout


@pytest.mark.skipif(BINARY is None, reason="nginx is not on PATH")
def test_a_composition_in_good_health_is_called_healthy(stack: Stack, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with nginx_running(tmp_path, ADDRESSES, stack.port, authority) as nginx:
        one = stack.containers[0]
        trusting = replace(one, variables=one.variables | {"SSL_CERT_FILE": str(authority.file)})
        done = trusting.run([*DOCTOR, nginx.https])
        assert done.stderr == ""
        assert [line for line in done.stdout.splitlines() if line.startswith("wrong ")] == []
        warnings = [line for line in done.stdout.splitlines() if line.startswith("warning ")]
        # A slow hint says that this machine is busy with other tests.
        assert [line for line in warnings if "it is far or busy" not in line] == []
        assert done.returncode == 0


@pytest.mark.skipif(BINARY is None, reason="nginx is not on PATH")
def test_untrusted_certificate_is_reported(stack: Stack, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with nginx_running(tmp_path, ADDRESSES, stack.port, authority) as nginx:
        done = stack.containers[0].run([*DOCTOR, nginx.https])
    assert done.returncode == 1
    assert "its certificate is not trusted" in done.stdout
