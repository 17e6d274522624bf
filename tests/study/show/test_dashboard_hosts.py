"""Rules about the requests that the dashboard answers."""

import http.client
import threading
from collections.abc import Iterator

import pytest

from study.show.dashboard import make_dashboard
from study.show.dashboard_hosts import is_ours
from study.storage.studies import open_storage
from tests.support.fake_study import fill


@pytest.fixture
def port(sqlite_url: str) -> Iterator[int]:
    fill(sqlite_url, trials=3)
    server = make_dashboard(open_storage(sqlite_url), host="127.0.0.1", port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def ask(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_only_its_own_names_are_answered(port: int) -> None:
    # Rule: a request must name this machine; otherwise 403, and nothing is deleted or renamed.
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "",
        "127.0.0.1.evil.example",
        "localhost.x",
    ):
        assert ask(port, "DELETE", "/api/studies/1", Host=host) == 403
    mine = f"localhost:{port}"
    assert ask(port, "DELETE", "/api/studies/1", Host=mine, Origin="http://evil.example") == 403
    assert ask(port, "DELETE", "/api/studies/1", Host=mine, Origin="null") == 403
    for host in (mine, "127.0.0.1", "LOCALHOST", f"[::1]:{port}"):
        assert ask(port, "GET", "/api/studies", Host=host) == 200
    assert ask(port, "DELETE", "/api/studies/1", Host=mine, Origin=f"http://{mine}") == 204


@pytest.mark.parametrize(
    ("named", "host", "answered"),
    [
        ("box.lan:8080", "box.lan", True),
        ("other.lan", "box.lan", False),
        ("192.168.1.5:8080", "192.168.1.5", True),
        ("192.168.1.5:8080", "127.0.0.1", False),
        ("192.168.1.5:8080", "0.0.0.0", True),
        ("[fe80::1]:8080", "::", True),
        ("evil.example", "0.0.0.0", False),
        ("evil.example@localhost", "127.0.0.1", False),
        ("localhost/evil.example", "127.0.0.1", False),
        ("[::1", "127.0.0.1", False),
    ],
)
def test_hosts_as_browsers_name_them(named: str, host: str, answered: bool) -> None:
    # Rule: the name that it is bound to; every address where it listens on all of them, because
    # nobody can point an address elsewhere.
    assert is_ours(named, host) is answered
