import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.scopes import LONGEST_NAME, MOST_SCOPES, Scope, ordered, parse_scopes

TYPES = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
NAMES = st.from_regex(r"[!#-\[\]-~]{1,40}", fullmatch=True)
ACTIONS = st.from_regex(r"[a-z]{1,8}|\*", fullmatch=True) | st.sampled_from(("pull", "push", "delete"))
SCOPES = st.builds(Scope, TYPES, NAMES, st.frozensets(ACTIONS, min_size=1))


def written(*values: str) -> list[str]:
    return [str(scope) for scope in parse_scopes(values)]


@given(SCOPES)
def test_what_is_written_is_read(scope: Scope) -> None:
    assert parse_scopes([str(scope)]) == (scope,)


@given(st.lists(SCOPES, max_size=10, unique_by=lambda scope: (scope.type, scope.name)))
def test_several_may_come_in_one_parameter_or_in_many(scopes: list[Scope]) -> None:
    texts = [str(scope) for scope in scopes]
    assert parse_scopes(texts) == parse_scopes([" ".join(texts)]) == tuple(scopes)


@given(st.lists(st.text(alphabet=st.sampled_from('ab:/(),* \n"\\é.pul')), max_size=5))
def test_nothing_is_too_strange(values: list[str]) -> None:
    scopes = parse_scopes(values)
    assert parse_scopes([str(scope) for scope in scopes]) == scopes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("repository:acme/app:pull", "repository:acme/app:pull"),
        ("repository:acme/app:push,pull", "repository:acme/app:pull,push"),
        ("repository:acme/app:push,pull,push", "repository:acme/app:pull,push"),
        ("repository:acme/app:*,delete,metadata,archive", "repository:acme/app:delete,*,archive,metadata"),
        ("repository(plugin):acme/app:pull", "repository:acme/app:pull"),
        ("repository:host:5000/acme/app:pull", "repository:host:5000/acme/app:pull"),
        ("registry:catalog:*", "registry:catalog:*"),
        ("repository:acme/app:pull,,push,", "repository:acme/app:pull,push"),
    ],
)
def test_what_clients_ask_for(value: str, expected: str) -> None:
    assert written(value) == [expected]


def test_what_asks_for_one_thing_twice_is_merged() -> None:
    assert written(
        "repository:a:pull repository:b:pull", "repository:a:push", "repository(plugin):b:delete"
    ) == ["repository:a:pull,push", "repository:b:pull,delete"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "repository",
        "repository:acme/app",
        "repository:acme/app:",
        "repository:acme/app:,",
        "repository::pull",
        ":acme/app:pull",
        "Repository:acme/app:pull",
        "repository():acme/app:pull",
        "repository(plugin:acme/app:pull",
        "repository:acme/app:PULL",
        "repository:acme/app:pull;push",
        'repository:a"b:pull',
        "repository:a\\b:pull",
        "repository:a\nb:pull",
        "repository:é:pull",
        f"repository:{'a' * (LONGEST_NAME + 1)}:pull",
    ],
)
def test_what_is_malformed_is_left_out(value: str) -> None:
    assert written(value, "repository:good:pull") == ["repository:good:pull"]


def test_there_is_an_end_to_scopes() -> None:
    many = " ".join(f"repository:r{number}:pull" for number in range(1000))
    scopes = parse_scopes([many, "repository:r0:push"])
    assert len(scopes) == MOST_SCOPES
    assert str(scopes[0]) == "repository:r0:pull,push"


def test_a_long_scope_takes_no_long_time() -> None:
    assert (
        parse_scopes(["repository:" + ":" * 300_000, "a:b:" + "pull," * 100_000 + "!", "(" * 300_000]) == ()
    )


def test_actions_have_an_order() -> None:
    assert ordered(["zap", "*", "delete", "archive", "push", "pull", "push"]) == (
        "pull",
        "push",
        "delete",
        "*",
        "archive",
        "zap",
    )
