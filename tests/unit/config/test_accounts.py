"""The settings of accounts: tokens, other token servers, a directory, the audit."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from registry.config import ConfigError, Settings
from registry.config_sources import MASK, Loaded, effective, load

LDAP = {"url": "ldaps://ldap.example.com", "user_base": "ou=people,dc=example,dc=com"}
ISSUER = {"issuer": "https://auth.example.com", "audience": "entrepot", "keys_file": "/etc/auth.pem"}


def problems(section: str, values: Mapping[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({section: values})
    return "\n".join(f"{error['loc']}: {error['msg']}" for error in caught.value.errors())


def from_toml(tmp_path: Path, toml: str) -> Loaded:
    file = tmp_path / "entrepot.toml"
    file.write_text(toml)
    return load({}, file, {})


def test_accounts_are_on_by_default() -> None:
    settings = Settings()
    assert not settings.open
    assert settings.auth.mode == "accounts"
    assert settings.auth.admin_password is None
    assert settings.ldap.url is None
    assert settings.auth.issuers == ()


@pytest.mark.parametrize(
    ("auth", "is_open"),
    [
        ({"mode": "accounts"}, False),
        ({"mode": "open"}, True),
        ({"insecure_open": True}, True),
        ({"mode": "open", "insecure_open": True}, True),
    ],
)
def test_open_is_said_in_two_ways(auth: dict[str, object], is_open: bool) -> None:
    assert Settings.model_validate({"auth": auth}).open is is_open


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("auth", "mode", "closed"), ("auth", "token_seconds", 59), ("auth", "token_seconds", 3601),
        ("auth", "refresh_seconds", 0), ("auth", "revocation_seconds", 0),
        ("auth", "revocation_seconds", 3601), ("auth", "algorithm", "HS256"),
        ("auth", "algorithm", "none"), ("auth", "key_files", 7), ("auth", "admin_password", "seven77"),
        ("auth", "admin_password", "x" * 1025), ("auth", "admin_password", "\0" * 8),
        ("auth", "service", ""), ("auth", "service", 'a"b'), ("auth", "service", "a\\b"),
        ("auth", "service", "a\nb"), ("auth", "service", " a"), ("auth", "service", "entrepôt"),
        ("auth", "service", "x" * 256), ("auth", "service", "my Basic registry"),
        ("auth", "service", "TokenBearer"),
        ("auth", "realm", "auth.example.com"), ("auth", "realm", "ftp://auth.example.com/token"),
        ("auth", "realm", 'https://auth.example.com/"'), ("auth", "realm", "https://auth.example.com/a b"),
        ("auth", "realm", "https://me:pw@auth.example.com/token"),
        ("audit", "keep_seconds", 0), ("ldap", "timeout_seconds", 0), ("ldap", "group_mapping", ["a"]),
        ("ldap", "group_mapping", {"cn=a": "Not A Name"}), ("ldap", "user_filter", "(uid=alice)"),
        ("ldap", "user_filter", "(uid={dn})"), ("ldap", "user_filter", "(uid={name})(x={y})"),
        ("ldap", "user_filter", "uid={name}"), ("ldap", "user_filter", "((uid={name})"),
        ("ldap", "group_filter", "(cn=all)"),
    ],
)  # fmt: skip
def test_values_out_of_bounds(section: str, key: str, value: object) -> None:
    assert f"('{section}', '{key}'" in problems(section, {key: value})


@pytest.mark.parametrize("service", ["entrepot", "registry.example.com", "A registry, of many"])
def test_what_a_registry_may_be_called(service: str) -> None:
    assert Settings.model_validate({"auth": {"service": service}}).auth.service == service


def test_key_files_are_a_list() -> None:
    expected = (Path("/keys/new.pem"), Path("/keys/old.pem"))
    for value in (
        "/keys/new.pem,/keys/old.pem",
        " /keys/new.pem , /keys/old.pem,",
        [str(path) for path in expected],
    ):
        assert Settings.model_validate({"auth": {"key_files": value}}).auth.key_files == expected
    assert Settings.model_validate({"auth": {"key_files": ""}}).auth.key_files == ()


def test_issuers_are_tables_or_json(tmp_path: Path) -> None:
    toml = '[[auth.issuers]]\nissuer = "a"\naudience = "b"\nkeys_file = "/k.pem"\n' + (
        '[[auth.issuers]]\nissuer = "c"\naudience = "d"\njwks_url = "https://c.example.com/jwks"\n'
    )
    in_file = from_toml(tmp_path, toml).settings.auth.issuers
    assert [(entry.issuer, entry.audience, entry.keys_file, entry.jwks_url) for entry in in_file] == [
        ("a", "b", Path("/k.pem"), None),
        ("c", "d", None, "https://c.example.com/jwks"),
    ]
    text = json.dumps([entry.model_dump(mode="json") for entry in in_file])
    assert load({}, None, {"ENTREPOT_AUTH__ISSUERS": text}).settings.auth.issuers == in_file
    assert load({}, None, {"ENTREPOT_AUTH__ISSUERS": ""}).settings.auth.issuers == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keys_file": None}, "one of keys_file and jwks_url"),
        ({"jwks_url": "https://auth.example.com/jwks"}, "one of keys_file and jwks_url"),
        ({"keys_file": "", "jwks_url": ""}, "one of keys_file and jwks_url"),
        ({"keys_file": None, "jwks_url": "http://auth.example.com/jwks"}, "should be https://"),
        ({"keys_file": None, "jwks_url": "auth.example.com"}, "https://"),
        ({"issuer": ""}, "at least 1 character"),
        ({"audience": None}, "valid string"),
    ],
)
def test_an_issuer_has_one_source_of_keys(changes: dict[str, object], said: str) -> None:
    assert said in problems("auth", {"issuers": [{**ISSUER, **changes}]})


def test_keys_may_come_in_clear_from_the_same_machine() -> None:
    local = {"issuer": "a", "audience": "b", "jwks_url": "http://127.0.0.1:8080/jwks"}
    assert (
        Settings.model_validate({"auth": {"issuers": [local]}}).auth.issuers[0].jwks_url == local["jwks_url"]
    )


def test_an_issuer_is_named_once() -> None:
    assert "names https://auth.example.com twice" in problems("auth", {"issuers": [ISSUER, ISSUER]})


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[[auth.issuers]]\nissuer = 'a'\n", "auth.issuers.0.audience: field required"),
        (
            "[[auth.issuers]]\nissuer = 'a'\naudience = 'b'\nkeys_file = 'c'\naudiance = 'd'\n",
            "auth.issuers.0.audiance is unknown; the nearest is auth.issuers.0.audience",
        ),
        ("[auth]\nissuers = 'x'\n", "auth.issuers: 'x': should be JSON when it is given as text"),
        ("[auth]\nisuers = []\n", "auth.isuers is unknown; the nearest is auth.issuers"),
        ("[ldap.group_mapping]\n'cn=a' = 7\n", "ldap.group_mapping.cn=a: input should be a valid string"),
        (
            "[ldap]\nurl = 'ldap://me:hunter2@host'\n",
            f"ldap.url: 'ldap://me:{MASK}@host': should be ldaps://",
        ),
    ],
)
def test_what_is_wrong_is_named_as_deep_as_it_lies(toml: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path, toml)
    found = [problem for problem in caught.value.problems if said in problem]
    assert found, caught.value.problems
    assert found[0].startswith(f"file {tmp_path / 'entrepot.toml'}: ")


def test_a_table_from_a_secret_file_is_not_repeated(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"hunter2": 7}')
    with pytest.raises(ConfigError) as caught:
        load({}, None, {"ENTREPOT_LDAP__GROUP_MAPPING_FILE": str(secret)})
    assert "hidden" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "key"), [("LDAP__CA_FILE", ("ldap", "ca_file")), ("AUDIT__FILE", ("audit", "file"))]
)
def test_a_setting_that_is_a_file_names_it(variable: str, key: tuple[str, str], tmp_path: Path) -> None:
    """Not to be taken for the `_FILE` that every other variable may end with; they have that as well."""
    directory = {f"ENTREPOT_LDAP__{name.upper()}": value for name, value in LDAP.items()}
    pointer = tmp_path / "pointer"
    pointer.write_text("/srv/there\n")
    for given in ({f"ENTREPOT_{variable}": "/srv/there"}, {f"ENTREPOT_{variable}_FILE": str(pointer)}):
        settings = load({}, None, {**directory, **given}).settings
        assert getattr(getattr(settings, key[0]), key[1]) == Path("/srv/there")


def test_what_is_empty_is_not_set() -> None:
    keys = ("AUTH__ADMIN_PASSWORD", "AUTH__REALM", "LDAP__URL", "LDAP__CA_FILE", "LDAP__BIND_DN",
            "LDAP__BIND_PASSWORD", "LDAP__USER_BASE", "LDAP__GROUP_BASE", "LDAP__GROUP_MAPPING",
            "AUDIT__FILE")  # fmt: skip
    assert load({}, None, {f"ENTREPOT_{key}": "" for key in keys}).settings == Settings()


def test_group_mapping_is_a_table_or_json(tmp_path: Path) -> None:
    expected = {"cn=dev.ops,ou=groups,dc=example,dc=com": "developers", "admins": "admins"}
    lines = "".join(f"'{name}' = '{local}'\n" for name, local in expected.items())
    toml = f"[ldap]\nurl = 'ldaps://host'\nuser_base = 'x'\ngroup_base = 'y'\n[ldap.group_mapping]\n{lines}"
    assert from_toml(tmp_path, toml).settings.ldap.group_mapping == expected

    values = {**LDAP, "group_base": "y", "group_mapping": json.dumps(expected)}
    assert Settings.model_validate({"ldap": values}).ldap.group_mapping == expected


def test_a_password_that_is_too_short_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"hidden.*at least 8 characters") as caught:
        load({}, None, {"ENTREPOT_AUTH__ADMIN_PASSWORD": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_secrets_are_masked_wherever_they_come_from(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("look://hunter2:not@a-url\n")
    for environment in (
        {"ENTREPOT_AUTH__ADMIN_PASSWORD": "hunter2 is long", "ENTREPOT_LDAP__BIND_PASSWORD": "hunter2"},
        {"ENTREPOT_AUTH__ADMIN_PASSWORD_FILE": str(secret), "ENTREPOT_LDAP__BIND_PASSWORD_FILE": str(secret)},
    ):
        directory = {f"ENTREPOT_LDAP__{key.upper()}": value for key, value in LDAP.items()}
        found = load({}, None, {**environment, **directory, "ENTREPOT_LDAP__BIND_DN": "cn=entrepot"})
        rows = {key: value for key, value, _source in effective(found)}
        assert rows["auth.admin_password"] == MASK
        assert rows["ldap.bind_password"] == MASK
        assert "hunter2" not in repr(found.settings)
        assert "hunter2" not in json.dumps(rows)
        assert found.settings.auth.admin_password is not None
        assert "hunter2" in found.settings.auth.admin_password.get_secret_value()


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("ldaps://ldap.example.com", "ldaps://ldap.example.com"),
        ("ldaps://ldap.example.com:3269/", "ldaps://ldap.example.com:3269"),
        ("ldap://127.0.0.1:389", "ldap://127.0.0.1:389"),
        ("ldap://localhost", "ldap://localhost"),
        ("ldap://[::1]:389", "ldap://[::1]:389"),
    ],
)
def test_ldap_url(url: str, becomes: str) -> None:
    assert Settings.model_validate({"ldap": {**LDAP, "url": url}}).ldap.url == becomes


@pytest.mark.parametrize(
    "url",
    ["ldap.example.com", "https://ldap.example.com", "ldap://", "ldaps://host:99999", "ldaps://host/dc=example",
     "ldaps://host?uid", "ldaps://me:pw@host"],
)  # fmt: skip
def test_ldap_url_is_scheme_and_host(url: str) -> None:
    assert "('ldap', 'url')" in problems("ldap", {**LDAP, "url": url})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"user_base": "x", "start_tls": True},
            "ldap.url is not set, so that ldap.start_tls, ldap.user_base",
        ),
        ({"url": "ldaps://host"}, "without ldap.user_base"),
        ({**LDAP, "bind_dn": "cn=entrepot"}, "belong together"),
        ({**LDAP, "bind_password": "secret"}, "belong together"),
        ({**LDAP, "group_mapping": {"a": "b"}}, "without ldap.group_base"),
        ({**LDAP, "start_tls": True}, "remove ldap.start_tls"),
        ({**LDAP, "url": "ldap://127.0.0.1", "ca_file": "/ca.pem"}, "remove ldap.ca_file"),
        ({**LDAP, "url": "ldap://ldap.example.com"}, "in clear: use ldaps://"),
    ],
)
def test_what_does_not_go_together_in_a_directory(values: dict[str, object], said: str) -> None:
    assert said in problems("ldap", values)


def test_all_that_is_wrong_with_a_directory_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path, "[ldap]\nurl = 'ldap://ldap.example.com'\nbind_dn = 'cn=entrepot'\n")
    assert len(caught.value.problems) == 3
    assert all(problem.startswith("settings: ldap.") for problem in caught.value.problems)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ldap://ldap.example.com", "start_tls": True, "ca_file": "/ca.pem"},
        {"url": "ldap://ldap.example.com", "insecure": True},
        {"url": "ldap://127.0.0.1:3890"},
        {"bind_dn": "cn=entrepot", "bind_password": "secret"},
        {"group_base": "ou=groups", "group_filter": "(&(objectClass=posixGroup)(memberUid={name}))"},
        {"ca_file": "/ca.pem"},
    ],
)
def test_directories_that_are_right(changes: dict[str, object]) -> None:
    values = {**LDAP, **changes}
    assert Settings.model_validate({"ldap": values}).ldap.model_fields_set == set(values)
