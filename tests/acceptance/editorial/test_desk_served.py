"""The desk as a service: behind the proxy of docs/desk.md, and when it is told to end."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contentworker.desk import passwords
from contentworker.doctor import listeners
from tests.support import ROOT, Process, environment, free_port, service_is_missing, wait_until

PASSWORD = "a long password"
ANA = passwords.account_line("ana", ("editor",), PASSWORD)


@contextmanager
def served(tmp_path: Path, redis_url: str, port: int, **env: str) -> Iterator[Process]:
    """A desk where ana may sign in."""
    variables = environment(
        WORKER__ESCALATIONS__SQLITE_PATH=str(tmp_path / "records.sqlite3"),
        WORKER__DESK__PORT=str(port),
        REDIS_URL=redis_url,
        DESK_PASSWORDS=ANA,
        **env,
    )
    desk = Process([sys.executable, "-m", "contentworker", "desk", "serve"], tmp_path / "desk", variables)
    try:
        desk.wait_for_log("The desk: ")
        yield desk
    finally:
        desk.stop()


def nginx_of_the_page(folder: Path, port: int, desk_port: int) -> Process:
    """The page's nginx, with other ports and a certificate of its own."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or service_is_missing("nginx-light (Debian)")
    folder.mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost"
    names = ("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate)
    subprocess.run([*words.split(), *names], check=True, capture_output=True)
    server = (ROOT / "docs" / "desk.md").read_text("utf-8").partition("```nginx\n")[2].partition("```")[0]
    for before, after in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("server_name desk.example.com", "server_name localhost"),
        ("/etc/ssl/desk.example.com.pem", str(certificate)),
        ("/etc/ssl/private/desk.example.com.key", str(key)),
        ("127.0.0.1:5558", f"127.0.0.1:{desk_port}"),
    ):
        assert before in server
        server = server.replace(before, after)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    main = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr info;\nevents {{}}\n"
    file = folder / "nginx.conf"
    file.write_text(f"{main}http {{\naccess_log off;\n{folders}{server}}}\n", "utf-8")
    subprocess.run([program, "-t", "-q", "-c", file], check=True)
    return Process([program, "-c", str(file)], folder, environment())


def test_behind_the_nginx_of_the_page(tmp_path: Path, redis_url: str) -> None:
    """A person signs in over https, and the largest form goes through."""
    port, desk_port = free_port(), free_port()
    address = f"https://localhost:{port}"
    with served(tmp_path, redis_url, desk_port, WORKER__DESK__PUBLIC_URL=address):
        proxy = nginx_of_the_page(tmp_path / "nginx", port, desk_port)
        try:
            wait_until(lambda: listeners.bind_problem("127.0.0.1", port), "nginx to listen")
            trusted = ssl.create_default_context(cafile=str(tmp_path / "nginx/certificate.pem"))
            opener = urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=trusted), urllib.request.HTTPCookieProcessor()
            )

            def post(path: str, **form: str) -> urllib.request.Request:
                body = urllib.parse.urlencode(form).encode()
                return urllib.request.Request(f"{address}{path}", body, {"Origin": address})

            with opener.open(post("/login", name="ana", password=PASSWORD), timeout=30) as answer:
                assert answer.url == f"{address}/review"
            large = post(f"/review/{'0' * 32}/comments", text="x" * 3_900_000)
            with pytest.raises(urllib.error.HTTPError, match="400") as refused:
                opener.open(large, timeout=30)
            assert b"10,000 characters" in refused.value.read()  # from the desk
            refused.value.close()
        finally:
            proxy.stop()


def test_at_sigterm_what_is_on_its_way_arrives(tmp_path: Path, redis_url: str) -> None:
    """A form that is half here is answered; who only begins to ask holds nothing up for ever."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    form = f"POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 22\r\n"
    form += "Content-Type: application/x-www-form-urlencoded\r\n\r\nname=nobody&"
    with (
        served(tmp_path, redis_url, port) as desk,
        socket.create_connection(("127.0.0.1", port), 30) as slow,
        socket.create_connection(("127.0.0.1", port), 30) as silent,
    ):
        silent.sendall(b"GET /login HTT")
        slow.sendall(form.encode())
        with socket.create_connection(("127.0.0.1", port), 30) as other:  # those before it are known by now
            other.sendall(f"GET /login HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert other.recv(15) == b"HTTP/1.1 200 OK"
        desk.kill(signal.SIGTERM)
        wait_until(lambda: not listeners.find(port), "the desk to listen no more")
        slow.sendall(b"password=a")
        assert slow.recv(12) == b"HTTP/1.1 401"
        assert desk.wait() in {0, -signal.SIGTERM}
