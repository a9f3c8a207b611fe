"""A real S3 server (versitygw, on a temporary folder), with a bucket for who asks.

Tests ask for the fixture `s3_server`, or for `s3_settings`: the driver's table for a fresh bucket.
"""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.server import free_port
from tests.support.tools import tool

ACCESS_KEY = "tests"
SECRET_KEY = "a-secret-of-the-tests"
REGION = "eu-test-1"


@dataclass
class S3Server:
    """A running server. `folder` holds its buckets; `address` is `host:port`."""

    folder: Path
    process: subprocess.Popen[bytes]
    address: str
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def create_bucket(self) -> str:
        name = f"bucket-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def settings(self, bucket: str, url: str | None = None) -> dict[str, object]:
        """What the driver needs to be told to use this server, or a proxy in front of it."""
        return {
            "bucket": bucket,
            "endpoint": url or self.url,
            "region": REGION,
            "path_style": True,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
        }

    @cached_property
    def client(self) -> Any:
        """A client of the tests' own, to look at what is really there."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def multipart_uploads(self, bucket: str) -> set[tuple[str, str]]:
        """(key, upload id) of each that has not ended."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return {(entry["Key"], entry["UploadId"]) for page in pages for entry in page.get("Uploads", ())}


@contextmanager
def running_s3_server(certificate: tuple[Path, Path] | None = None) -> Iterator[S3Server]:
    """Run a server; throw it away afterwards with all that is in it. With files of a certificate and its key
    it serves TLS, and `client` is of no use."""
    program = tool("versitygw")
    folder = Path(tempfile.mkdtemp(prefix="entrepot-s3-"))
    try:
        server = start(program, folder, certificate)
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait(10)
    finally:
        shutil.rmtree(folder)


def start(program: str, folder: Path, certificate: tuple[Path, Path] | None) -> S3Server:
    """Start `versitygw` on the folder and wait until it answers."""
    address = f"127.0.0.1:{free_port()}"
    buckets = folder / "buckets"
    buckets.mkdir()
    # What S3 knows beside the bytes goes into extended attributes, or into files where there are none.
    if not keeps_attributes(buckets):
        (folder / "sidecar").mkdir()
        extra = ["--sidecar", str(folder / "sidecar")]
    else:
        extra = []
    tls = [] if certificate is None else ["--cert", certificate[0], "--key", certificate[1]]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, "--port", address, "--access", ACCESS_KEY, "--secret", SECRET_KEY,
                "--region", REGION, "--keep-alive", "--quiet", *tls, "posix", *extra, buckets,
            ],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    server = S3Server(buckets, process, address)
    host, port = address.split(":")
    for _ in range(300):
        try:
            with closing(socket.create_connection((host, int(port)), timeout=5)):
                return server
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    process.kill()
    process.wait(10)
    raise AssertionError(f"versitygw did not start:\n{(folder / 'log').read_text(errors='replace')}")


def keeps_attributes(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.test", b"yes")
    except OSError:
        return False
    os.removexattr(folder, "user.test")
    return True


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests of this process."""
    with running_s3_server() as server:
        yield server


@pytest.fixture
def s3_settings(s3_server: S3Server) -> Mapping[str, object]:
    """The driver's table of the configuration, for an empty bucket."""
    return s3_server.settings(s3_server.create_bucket())
