"""Requests to S3: connections and threads, what is tried again, whose error is whose.

boto3 blocks, so each request runs in a thread of the driver's own. It tries nothing again by itself: waiting
between two tries is done here, where it holds no thread.
"""

import asyncio
import base64
import functools
import hashlib
import logging
import random
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from storage_drivers.base import NoSpace, NotFound, StorageError, Unavailable
from storage_drivers.s3_settings import S3Settings
from storage_drivers.threads import settled

T = TypeVar("T")

log = logging.getLogger(__name__)

for _talkative in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_talkative).setLevel(logging.INFO)  # below that they tell signatures and session tokens

CONNECT_SECONDS = 5
READ_SECONDS = 60
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds: the longest pause after the first failure, doubled with each one, and its limit."""

GONE = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404", "NoSuchVersion"})
_FULL = frozenset(
    {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"}
)
_BUSY = frozenset(
    {
        "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling",
        "ThrottlingException", "RequestLimitExceeded", "TooManyRequests",
        "InternalError", "RequestTimeout", "OperationAborted",
        "ExistingObjectIsDirectory", "ObjectParentIsFile",
        "XMinioServerNotInitialized", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
    }
)  # fmt: skip
"""What may be better the next time. The last three say that the bytes were damaged on their way.
ExistingObjectIsDirectory and ObjectParentIsFile are what versitygw says when it removes a folder that became
empty while somebody puts an object there: no key of ours leads through another one."""

_WRONG_SETTINGS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the credentials do not allow it",
    "403": "the credentials do not allow it",
    "InvalidAccessKeyId": "the access key is unknown",
    "XAdminUserNotFound": "the access key is unknown",  # versitygw
    "SignatureDoesNotMatch": "the secret key is wrong",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
    "InvalidBucketName": "the name of the bucket is not valid",
}


FAILURES = (ClientError, BotoCoreError, ResponseParserError, HTTPError, OSError)
"""What boto3 raises, and what it lets through from below."""

_PASSING = (HTTPClientError, IncompleteReadError, ResponseParserError, HTTPError, OSError)


@functools.cache
def _loader() -> Any:
    """The descriptions of S3's operations: to read them takes longer than all else of making a client."""
    return create_loader()


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """S3 wants a checksum of the keys. botocore sends one of the newer ones; many servers know only this."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


class WrongSettings(Unavailable):
    """S3 answers, and says that it will not work like this."""


class S3Client:
    """One bucket. `call` takes the name of an operation as boto3 has it, and its arguments."""

    def __init__(self, settings: S3Settings) -> None:
        self.bucket = settings.bucket
        self.attempts = settings.attempts
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="s3")
        core = botocore.session.get_session()
        core.register_component("data_loader", _loader())
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=settings.access_key or None,
            aws_secret_access_key=settings.secret_key or None,
            aws_session_token=settings.session_token or None,
            region_name=settings.region or None,
        )
        self._region = session.region_name or "us-east-1"
        self.requests = self._client(session, settings, settings.endpoint)
        public = settings.endpoint_public
        self._public = self._client(session, settings, public) if public else self.requests

    def _client(self, session: Any, settings: S3Settings, endpoint: str) -> Any:
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=2 * settings.connections,  # objects that are being read hold one each
            retries={"total_max_attempts": 1},
            tcp_keepalive=True,
            # The signature covers the SHA-256 of each body, so every S3 verifies what it receives. The newer
            # checksums in headers and trailers are not understood everywhere.
            s3={
                "addressing_style": "path" if settings.path_style else "auto",
                "payload_signing_enabled": True,
            },
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = session.client(
            "s3",
            region_name=self._region,
            endpoint_url=endpoint or None,
            verify=settings.ca_file or None,
            config=config,
        )
        client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
        return client

    async def call(self, operation: str, **arguments: object) -> Any:
        """Do it, several times if need be. Raises NotFound, NoSpace, WrongSettings and Unavailable.

        Being cancelled waits for the try that is under way: a thread can't be stopped.
        """
        method = getattr(self.requests, operation)
        what = f"{operation} {arguments.get('Key', arguments.get('Prefix', ''))}"
        return await self.attempt(what, lambda: method(Bucket=self.bucket, **arguments))

    async def attempt(self, what: str, step: Callable[[], T]) -> T:
        """Run a blocking step in a thread, again if its error may pass. Raises as `call`."""
        failures = 0
        while True:
            try:
                return await self.in_thread(step)
            except FAILURES as error:
                failures += 1
                if not await self.again(failures, error):
                    raise translated(error, f"bucket {self.bucket!r}: {what}") from error

    async def again(self, failures: int, error: Exception) -> bool:
        """Whether to try once more after that many failures; who may has waited.

        Not if S3 wants more time than a request should wait here: then whoever sent that is told.
        """
        wanted = retry_after(error) or 0.0
        if failures >= self.attempts or wanted > LONGEST_PAUSE or not passing(error):
            return False
        log.info("bucket %r: will try again: %s", self.bucket, error)
        # A random time ("full jitter"), so that many do not come back at once.
        jitter = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)))  # noqa: S311
        await asyncio.sleep(wanted + jitter)
        return True

    async def in_thread(self, step: Callable[[], T]) -> T:
        """Run a blocking step once. Being cancelled waits for it."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, step)
        cancelled = await settled(future)
        if cancelled is not None:
            raise cancelled from future.exception()
        try:
            return future.result()
        except BaseException as error:
            forget_locals(error)
            raise
        finally:
            del future  # it holds the error, and through its traceback the error would hold this frame

    async def signed_url(self, seconds: int, arguments: dict[str, str]) -> str:
        """A URL to GET an object with, for whoever has it."""

        def sign() -> str:  # it may have to fetch credentials
            wanted = {"Bucket": self.bucket, **arguments}
            return str(self._public.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))

        return await self.attempt("signing a URL", sign)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self.requests.close()
        self._public.close()


def code_of(error: Exception) -> str:
    """S3's own code of an error, or the status where there was no body to tell it; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def forget_locals(error: BaseException) -> None:
    """Empty the frames that an error, and those behind it, came through.

    They hold what was sent, parts of many MiB. Errors of boto3 refer to themselves through such frames, and
    all that would stay until Python's collector comes by.
    """
    left: list[object] = [error]
    known: set[int] = set()
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in known:
            continue
        known.add(id(one))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            with suppress(RuntimeError):  # one that has not ended: nor have those that called it
                below: FrameType | None = frame
                while below is not None:
                    below.clear()
                    below = below.f_back
        left += [one.__cause__, one.__context__]


def retry_after(error: Exception) -> float | None:
    """The seconds after which S3 wants to be asked again, if it says so. A date, the other form that RFC 9110
    section 10.2.3 has, is passed by."""
    if not isinstance(error, ClientError):
        return None
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() else None


def passing(error: Exception) -> bool:
    """Whether the same request may work in a moment."""
    if not isinstance(error, ClientError):
        return isinstance(error, _PASSING)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = code_of(error)
    return code in _BUSY or status == 429 or (status >= 500 and code not in _FULL and status != 501)


def translated(error: Exception, what: str) -> StorageError:
    """An error of boto3 as one of the protocol."""
    code = code_of(error)
    if code in GONE:
        return NotFound(f"{what}: is not there")
    if code in _FULL:
        return NoSpace(f"{what}: no room: {error}")
    if code in _WRONG_SETTINGS:
        return WrongSettings(f"{what}: {_WRONG_SETTINGS[code]} ({code})")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return WrongSettings(f"{what}: {error}")
    return Unavailable(f"{what}: {error}", retry_after(error))
