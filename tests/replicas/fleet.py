"""Three replicas of one registry: processes that share a database and a storage, and nothing else."""

import json
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from conformance.authorization import Authorization
from conformance.client import Client
from tests.replicas.round_robin import RoundRobin, round_robin
from tests.support.postgres import PostgresServer
from tests.support.server import ROOT, RunningRegistry, start_registry

REPLICAS = 3

ADMINISTRATOR = "admin"


@dataclass
class Fleet:
    """Replicas behind a round robin. `settings` are those of the environment that all of them share,
    `replicas` the running ones; `code`: the folder of the version that is started."""

    folder: Path
    postgres: PostgresServer
    database: str
    settings: Mapping[str, str]
    password: str
    code: Path = ROOT
    replicas: list[RunningRegistry] = field(default_factory=list)
    robin: RoundRobin = field(default_factory=lambda: RoundRobin(()))
    _started: int = 0
    _token: str = ""

    @property
    def url(self) -> str:
        """Of the round robin."""
        return self.robin.url

    @property
    def urls(self) -> list[str]:
        """Of each replica."""
        return [replica.url for replica in self.replicas]

    def start(self, *, port: int | None = None, wait: bool = True) -> RunningRegistry:
        """One more replica, whose folder is its own and new: nothing in it may matter."""
        self._started += 1
        name = f"replica-{self._started}"
        application = f"{self.postgres.url(self.database)}&application_name={name}"
        return start_registry(
            self.folder / name,
            port=port,
            environment={**self.settings, "ENTREPOT_INDEX__URL": application},
            wait=wait,
            code=self.code,
        )

    def start_all(self) -> None:
        """All at the same moment."""
        self.replicas += [self.start(wait=False) for _ in range(REPLICAS)]
        with ThreadPoolExecutor(REPLICAS) as threads:
            for ready in [threads.submit(replica.wait_until_ready) for replica in self.replicas]:
                ready.result()

    def kill(self, number: int) -> RunningRegistry:
        """SIGKILL one. When this returns, the database has ended what it was doing for it."""
        killed = self.replicas[number]
        killed.kill()
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            while connection.execute(query, (killed.data.name,)).fetchone() != (0,):
                connection.execute("SELECT pg_sleep(0.01)")
        return killed

    def replace(self, number: int) -> None:
        """Start a new one at the address of one that has ended."""
        ended = self.replicas[number]
        self.replicas[number] = self.start(port=int(ended.address.split(":")[1]))

    def client(self, url: str | None = None) -> Client:
        """The administrator at one replica, or (None) behind the round robin. He signs in with a token of
        his own: passwords are slow on purpose."""
        return Client(url or self.url, Authorization(ADMINISTRATOR, self.administrator_token()))

    def administrator_token(self) -> str:
        """A personal token, made by the first who asks."""
        if not self._token:
            client = Client(self.url, Authorization(ADMINISTRATOR, self.password))
            self._token = str(call(client, "POST", f"/users/{ADMINISTRATOR}/tokens")["secret"])
        return self._token

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database says."""
        with psycopg.connect(self.postgres.url(self.database), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def logs(self) -> str:
        """Of all replicas that there ever were."""
        return "".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("replica-*.log")))


def call(client: Client, method: str, path: str, **body: object) -> dict[str, object]:
    """The answer of the management API, which has to be one of success."""
    headers = {"Content-Type": "application/json"}
    content = json.dumps(body).encode() if method in ("POST", "PUT", "PATCH") else None
    answer = client.request(method, f"/api/v1{path}", content, headers)
    assert answer.status in (200, 201, 204), f"{method} {path}: {answer} {answer.body!r}"
    found: dict[str, object] = json.loads(answer.body or b"{}")
    return found


@contextmanager
def fleet(
    folder: Path,
    postgres: PostgresServer,
    storage: Mapping[str, str],
    *,
    given_password: bool = True,
    code: Path = ROOT,
    **settings: str,
) -> Iterator[Fleet]:
    """Run replicas with accounts on an empty database. `storage` and `settings` are of the environment.

    Without a `given_password` the replicas have to think of one for the administrator.
    """
    database = postgres.create_database(template="template1")
    password = secrets.token_urlsafe()
    shared = {
        "ENTREPOT_AUTH__MODE": "accounts",
        **({"ENTREPOT_AUTH__ADMIN_PASSWORD": password} if given_password else {}),
        "ENTREPOT_UPLOADS__LEASE_SECONDS": "1",
        **storage,
        **settings,
    }
    running = Fleet(folder, postgres, database, shared, password, code)
    try:
        running.start_all()
        with round_robin([replica.address for replica in running.replicas]) as running.robin:
            yield running
        assert [replica.stop() for replica in running.replicas] == [0] * REPLICAS
        assert "Traceback" not in running.logs()
    finally:
        for replica in running.replicas:
            replica.kill()
        postgres.drop_database(database)
