"""Accounts by the command line, on the local index and on a running server alike."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from auth.passwords import hash_password
from tests.support.server import ROOT
from tests.unit.cli.conftest import PASSWORD, CommandLine

SECRETS = ("entrepot_robot_", "entrepot_personal_", "entrepot_refresh_")


def name(kind: str) -> str:
    """One that nobody has: the tests share a server."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def columns(text: str) -> dict[str, str]:
    """The lines of `show`."""
    return {
        line[: line.index("  ")]: line[line.index("  ") :].strip()
        for line in text.splitlines()
        if "  " in line
    }


def test_the_lines_of_the_guide(entrepot: CommandLine) -> None:
    alice, ci, acme, gh = name("alice"), name("ci"), name("acme"), name("gh")

    assert entrepot("user", "add", alice, "--password-stdin", typed=f"{PASSWORD}\n").code == 0
    users = entrepot.done("user", "list", "--json").document["users"]
    assert [user["source"] for user in users if user["name"] == alice] == ["local"]

    made = columns(entrepot.done("robot", "create", ci).out)
    assert made["robot"] == ci
    assert made["secret"].startswith("entrepot_robot_")

    entrepot.done("grant", "add", f"user:{alice}", "writer", f"{acme}/**")
    assert f"user:{alice}  writer" in entrepot.done("grant", "list").out

    issuer = "https://token.example.com"
    claim = ["--claim", f"repository={acme}/app"]
    given = ["--issuer", issuer, "--audience", "entrepot", *claim, "--role", "writer"]
    entrepot.done("trust", "add", gh, *given, "--repositories", f"{acme}/app")
    assert columns(entrepot.done("trust", "show", gh).out)["claims"] == f"repository={acme}/app"

    token = columns(entrepot.done("token", "create", "--user", alice, "--read-only", "--expires", "30d").out)
    assert token["token"].startswith("entrepot_personal_")
    assert token["limits"] == "read-only"

    allowed = entrepot("explain", f"user:{alice}", "push", f"{acme}/app")
    assert (allowed.code, allowed.out) == (0, f"allowed: user:{alice} is writer on {acme}/**\n")
    refused = entrepot("explain", f"user:{alice}", "delete", f"{acme}/app")
    assert refused.code == 1
    assert refused.out.startswith(f"refused: delete on {acme}/app needs the role maintainer")
    assert refused.err == ""

    settings = ["--public", "--immutable-tags", "v*", "--quota", "10GiB"]
    shown = columns(entrepot.done("repository", "set", f"{acme}/app", *settings).out)
    assert shown["visibility"] == "public"
    assert shown["immutable tags"] == "v*"
    assert shown["quota"] == f"0 B of 10 GiB in {acme}/app"

    entries = entrepot.done("audit", "--since", "1h", "--json").document["entries"]
    assert {"user.create", "robot.create", "grant.add", "trust.add", "token.create"} <= {
        entry["action"] for entry in entries if entry["result"] == "allowed"
    }


@pytest.mark.parametrize("kind", ["user", "group", "robot"])
def test_a_life(kind: str, entrepot: CommandLine) -> None:
    who = name(kind)
    entrepot.done(kind, "create" if kind == "robot" else "add", who, "--description", "one for the test")
    assert columns(entrepot.done(kind, "show", who).out)["description"] == "one for the test"
    assert entrepot.done(kind, "disable", who).out == f"the {kind} {who} is disabled\n"
    assert columns(entrepot.done(kind, "show", who).out)["state"] == "disabled"
    entrepot.done(kind, "enable", who)
    listed = entrepot.done(kind, "list", "--search", who)
    assert listed.out.splitlines()[1].split()[:2] == [who, "enabled"]
    assert len(listed.out.splitlines()) == 2
    entrepot.done(kind, "remove", who)

    gone = entrepot(kind, "show", who)
    assert (gone.code, gone.out, gone.err) == (1, "", f"entrepot: no {kind} is called '{who}'\n")
    assert entrepot.done(kind, "list", "--search", who).out == f"there are no {kind}s\n"


def test_members_of_a_group(entrepot: CommandLine) -> None:
    dev, ci = name("dev"), name("ci")
    entrepot.done("group", "add", dev)
    entrepot.done("robot", "create", ci)
    entrepot.done("group", "member", "add", dev, f"robot:{ci}")
    assert entrepot.done("group", "show", dev, "--json").document["members"] == [f"robot:{ci}"]
    entrepot.done("grant", "add", f"group:{dev}", "reader", f"{dev}/*")
    assert entrepot("explain", f"robot:{ci}", "pull", f"{dev}/app").code == 0
    entrepot.done("group", "member", "remove", dev, f"robot:{ci}")
    assert entrepot("explain", f"robot:{ci}", "pull", f"{dev}/app").code == 1


def test_a_grant_is_taken_back_by_what_it_says_or_by_its_number(entrepot: CommandLine) -> None:
    ci = name("ci")
    principal = f"robot:{ci}"
    entrepot.done("robot", "create", ci)
    for role in ("reader", "writer"):
        entrepot.done("grant", "add", principal, role, "acme/**")
    assert "is not granted" in entrepot("grant", "remove", principal, "writer", "acme/*").err
    entrepot.done("grant", "remove", principal, "writer", "acme/**")
    (left,) = entrepot.done("grant", "list", "--principal", principal, "--json").document["grants"]
    assert left["role"] == "reader"
    entrepot.done("grant", "remove", str(left["id"]))
    assert entrepot.done("grant", "list", "--principal", principal).out == "nothing is granted\n"


def test_the_settings_of_a_repository(entrepot: CommandLine) -> None:
    app = f"{name('acme')}/app"
    entrepot.done(
        "repository", "set", app, "--quota", "10GB", "--immutable-tags", "v*", "--immutable-tags", "r-*"
    )
    shown = entrepot.done("repository", "show", app, "--json").document
    assert shown["immutable_tags"] == ["v*", "r-*"]
    assert [quota["bytes"] for quota in shown["quotas"]] == [10**10]
    entrepot.done("repository", "set", app, "--immutable-tags", "", "--no-quota", "--description", "for all")
    shown = entrepot.done("repository", "show", app, "--json").document
    assert (shown["immutable_tags"], shown["quotas"], shown["description"]) == ([], [], "for all")
    assert app in entrepot.done("repository", "list").out

    unsure = entrepot("repository", "remove", app)
    assert unsure.code == 2
    assert "--yes" in unsure.err
    entrepot.done("repository", "remove", app, "--yes")
    assert entrepot("repository", "show", app).code == 1


def test_quotas_keys_tags_and_uploads(entrepot: CommandLine) -> None:
    prefix = name("acme")
    assert columns(entrepot.done("quota", "set", prefix, "1.5GiB").out)["quota"] == "1.5 GiB"
    assert prefix in entrepot.done("quota", "list").out
    entrepot.done("quota", "remove", prefix)
    assert entrepot("quota", "remove", prefix).code == 1

    entrepot.done("keys", "rotate")
    keys = entrepot.done("keys", "list", "--json")
    assert "PRIVATE" not in keys.out
    assert keys.document["keys"][-1]["id"] in entrepot.done("keys", "list").out

    entrepot.done("repository", "set", f"{prefix}/app", "--private")
    assert entrepot.done("tag", "list", f"{prefix}/app").out == "there are no tags\n"
    assert entrepot("tag", "remove", f"{prefix}/app", "latest").code == 1
    assert entrepot.done("upload", "list").out == "no upload is under way\n"
    assert "no such upload" in entrepot("upload", "cancel", "7c2ab2bc-8a8b-4c5c-9d37-6f0a3ed9a1f4").err


def test_secrets_are_shown_once(entrepot: CommandLine) -> None:
    ci, alice = name("ci"), name("alice")
    made = entrepot.done("user", "add", alice, "--json").document
    limits = ["--read-only", "--repositories", "acme/*", "--addresses", "10.0.0.0/8", "--expires", "2d"]
    secrets = [made["password"], entrepot.done("robot", "create", ci, *limits, "--json").document["secret"]]
    secrets.append(columns(entrepot.done("robot", "rotate", ci, "--keep-old", "1h").out)["secret"])
    secrets.append(entrepot.done("token", "create", "--user", alice, "--json").document["secret"])
    assert len(set(secrets)) == 4

    commands: Sequence[Sequence[str]] = (
        ["user", "list"], ["user", "show", alice], ["robot", "list"], ["robot", "show", ci],
        ["token", "list", "--user", alice], ["audit"], ["whoami"],
    )  # fmt: skip
    for command in commands:
        for form in ([], ["--json"]):
            said = entrepot.done(*command, *form)
            assert not any(secret in said.out for secret in (*secrets, *SECRETS, "argon2"))

    old, new = entrepot.done("robot", "show", ci, "--json").document["secrets"]
    assert old["expires_at"] < new["expires_at"]
    assert (new["read_only"], new["repositories"], new["addresses"]) == (True, ["acme/*"], ["10.0.0.0/8"])


def test_a_token_is_revoked(entrepot: CommandLine) -> None:
    alice = name("alice")
    entrepot.done("user", "add", alice)
    made = entrepot.done("token", "create", "--user", alice, "--description", "laptop", "--json").document
    number = str(made["token"]["id"])
    listed = entrepot.done("token", "list", "--user", alice).out.splitlines()
    assert listed[0].split() == ["ID", "KIND", "LIMITS", "CREATED", "EXPIRES", "USED", "DESCRIPTION"]
    assert listed[1].split()[:2] == [number, "personal"]
    assert listed[1].endswith("never    never  laptop")
    entrepot.done("token", "revoke", "--user", alice, number)
    assert entrepot.done("token", "list", "--user", alice).out == "there are no tokens\n"


def test_users_of_an_htpasswd_file(entrepot: CommandLine, tmp_path: Path) -> None:
    bob, eve = name("bob"), name("eve")
    entrepot.done("user", "add", eve)
    hashed = "$2y$05$abcdefghijklmnopqrstuuVyZ7SGHjKoKM1Ll9U6IwmCqXnLeO5my"
    (tmp_path / "users").write_text(f"{bob}:{hashed}\n{eve}:{hashed}\n")
    said = entrepot.done("user", "import", str(tmp_path / "users")).out
    assert said == f"{bob} was made\n{eve} was there already and stays as it was\n"
    (tmp_path / "users").write_text(f"{name('joe')}:{hash_password(PASSWORD)}\n")
    assert "entrepot: text: " in entrepot("user", "import", str(tmp_path / "users")).err


def test_a_rule_with_the_keys_of_its_issuer(entrepot: CommandLine, tmp_path: Path) -> None:
    gl = name("gl")
    given = ["--issuer", "https://gitlab.example.com", "--audience", "entrepot", "--role", "reader"]
    given += ["--repositories", "acme/**", "--claim", "project_path=acme/*", "--claim", "ref_protected=true"]
    key = {"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256",
           "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
           "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key]}))
    made = entrepot.done("trust", "add", gl, *given, "--keys", str(tmp_path / "keys.json"), "--json").document
    assert made["claims"] == {"project_path": "acme/*", "ref_protected": "true"}
    assert made["keys"]["keys"][0]["kid"] == "1"
    assert gl in entrepot.done("trust", "list").out
    entrepot.done("trust", "disable", gl)
    assert columns(entrepot.done("trust", "show", gl).out)["state"] == "disabled"
    entrepot.done("trust", "remove", gl)
    assert entrepot("trust", "show", gl).code == 1


def test_the_audit_is_searched(entrepot: CommandLine) -> None:
    dev = name("dev")
    for kind in ("group", "robot"):
        entrepot.done(kind, "create" if kind == "robot" else "add", dev)
    found = entrepot.done("audit", "--target", f"group:{dev}", "--json").document["entries"]
    assert [entry["action"] for entry in found] == ["group.create"]
    found = entrepot.done(
        "audit", "--action", "robot.create", "--result", "allowed", "--limit", "1", "--json"
    )
    assert [entry["target"] for entry in found.document["entries"]] == [f"robot:{dev}"]
    limited = entrepot.done("audit", "--limit", "1").out.splitlines()
    assert limited[0].split() == ["TIME", "RESULT", "ACTOR", "ADDRESS", "ACTION", "TARGET", "DETAIL"]
    assert limited[2:] == ["there is more: say a higher --limit"]
    assert entrepot.done("audit", "--until", "2001-01-01").out == "nothing is written down about this\n"
    assert entrepot.done("audit", "--actor", "user:nobody-at-all", "--since", "1h", "--json").document == {
        "entries": [],
        "next": None,
    }


def test_who_works_on_the_index_itself(here: CommandLine) -> None:
    account = here.done("whoami", "--json").document
    assert account["principal"].startswith("operator:")
    assert account["administrator"] is True
    here.done("group", "add", "dev")
    assert here.done("group", "list", "--json").document["groups"][0]["created_by"] == account["principal"]


def test_a_new_index_is_announced(here: CommandLine, tmp_path: Path) -> None:
    first = here.done("user", "list", "--json")
    assert first.document == {"users": [], "next": None}
    assert str(tmp_path / "data") in first.err
    assert "--server" in first.err
    assert here.done("user", "list").err == ""


def test_as_processes(tmp_path: Path) -> None:
    """The lines as somebody types them, in the folder where the data lies."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ENTREPOT_")}
    environment["PYTHONPATH"] = str(ROOT)

    def run(line: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = f"{sys.executable} -m registry {line}"
        return subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, input=typed,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    assert run("user add alice --password-stdin", f"{PASSWORD}\n").stdout == "the user alice was made\n"
    assert run("grant add user:alice writer 'acme/**'").returncode == 0
    assert run("explain user:alice push acme/app").returncode == 0
    refused = run("explain user:alice push other/app")
    assert (refused.returncode, refused.stderr) == (1, "")
    assert (tmp_path / "data/index.sqlite").exists()
