"""What registries on several machines share: an S3 server and a database, of the tests' own kind.

nginx stands before the S3 server, for one reason: the SDK of distribution says `Expect: 100-Continue` before
each part, and versitygw knows that in lower case only, so that each part waits for a second. nginx answers
it. All registries and clients go this way.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import BenchmarkError
from tests.support.postgres import PostgresServer, find_programs, postgres
from tests.support.s3_server import S3Server, running_s3_server
from tests.support.server import free_port

ADMINISTRATORS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where nginx may be besides."""

START_SECONDS = 10


@dataclass(frozen=True)
class Services:
    """All run on this machine: S3 by versitygw at `endpoint`, and PostgreSQL, which syncs what it commits."""

    s3: S3Server
    endpoint: str
    database: PostgresServer


def services_present() -> bool:
    """Whether their programs are here."""
    here = shutil.which("versitygw") and shutil.which("nginx", path=ADMINISTRATORS)
    return here is not None and find_programs() is not None


@contextmanager
def running_services() -> Iterator[Services]:
    """Run them with nothing in them; throw away afterwards what they stored."""
    with (
        running_s3_server() as s3,
        _running_nginx(s3.address) as address,
        postgres(durable=True) as database,
    ):
        yield Services(s3, f"http://{address}", database)


@contextmanager
def _running_nginx(upstream: str) -> Iterator[str]:
    """Pass on what comes, as it comes; the address."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="benchmarks-nginx-") as name:
        folder = Path(name)
        file = folder / "nginx.conf"
        file.write_text(_configuration(folder, address, upstream))
        program = str(shutil.which("nginx", path=ADMINISTRATORS))
        process = subprocess.Popen([program, "-p", folder, "-e", "stderr", "-c", file])
        try:
            _wait_until_ready(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _configuration(folder: Path, address: str, upstream: str) -> str:
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"user {pwd.getpwuid(os.geteuid()).pw_name};\n"
        "daemon off;\nworker_processes 2;\n"
        f"pid {folder}/nginx.pid;\nerror_log stderr error;\n"
        "events { worker_connections 4096; }\n"
        "http {\n"
        "  access_log off;\n  keepalive_requests 1000000000;\n"
        f"{temporary}"
        f"  upstream s3 {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n"
        "  server {\n"
        f"    listen {address};\n    client_max_body_size 0;\n"
        "    location / {\n      proxy_pass http://s3;\n      proxy_http_version 1.1;\n"
        '      proxy_set_header Connection "";\n      proxy_set_header Host $http_host;\n'
        "      proxy_request_buffering off;\n      proxy_max_temp_file_size 0;\n"
        "      proxy_buffers 16 64k;\n      proxy_buffer_size 64k;\n      proxy_busy_buffers_size 128k;\n"
        "      client_body_buffer_size 256k;\n"
        "    }\n  }\n}\n"
    )


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError("nginx did not start before the S3 server") from None
            time.sleep(0.05)
        else:
            return
