"""Everybody whom the matrix tries: what each may do, and how he signs in."""

from dataclasses import dataclass

from auth.roles import Action, Role
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import Headers, basic, bearer, token
from tests.http.content import digest_of, image, push_image
from tests.support.issuer import Issuer

PRIVATE, PUBLIC, MISSING = "acme/secret", "acme/public", "acme/absent"
REPOSITORIES = (PRIVATE, PUBLIC, MISSING)
"""Names of one length, so that answers about them can be compared as they are."""

SCOPES = (
    *(f"repository:{repository}:pull,push,delete" for repository in REPOSITORIES),
    "registry:catalog:*",
    "registry:api:*",
)

MANIFEST = digest_of(image(annotations={"of": "the matrix"}))
TAG = "latest"


@dataclass(frozen=True)
class Person:
    """`rights` hold on all repositories of `acme`. `ways` are the header fields of each way to sign in; of
    nobody, Basic is none at all."""

    name: str
    ways: dict[str, Headers]
    rights: frozenset[Action] = frozenset()
    is_administrator: bool = False
    is_elsewhere: bool = False
    """His token is for other repositories, and public ones are none of those."""
    is_out: bool = False
    """His account is disabled."""
    has_all_his_rights: bool = True
    """He does not use a token that is limited."""
    user: str | None = None
    """The user whose own account this is."""

    @property
    def is_nobody(self) -> bool:
        return self.name == "anonymous"

    def may(self, action: Action, repository: str) -> bool:
        if self.is_out or self.is_elsewhere:
            return False
        return action in self.rights or (action is Action.PULL and repository == PUBLIC)


async def cast(house: Household, gitlab: Issuer) -> list[Person]:
    """Make them all, and the repositories: a private one, a public one, and one that is missing."""
    for repository in (PRIVATE, PUBLIC):
        body = await push_image(house.admin, TAG, repository, annotations={"of": "the matrix"})
        assert digest_of(body) == MANIFEST
    await house.configure(PUBLIC, public=True)
    await house.user("stranger")
    for role in Role:
        await house.user(role.value, (role.value, "acme/**"))
    robot = await house.robot("ci")
    await house.group("builders", "robot:ci")
    await house.grant("group:builders", "writer", "acme/*")
    reading = await house.personal_token("maintainer", read_only=True)
    elsewhere = await house.personal_token("administrator", repositories=["other/**"])
    await house.user("former", ("maintainer", "acme/**"))
    former = await house.personal_token("former")
    await house.trust("gitlab", gitlab.url, "writer", "acme/*", project_path="acme/app")
    job = gitlab.token(project_path="acme/app")
    everything = frozenset(Action)

    async def ways(name: str, secret: str) -> dict[str, Headers]:
        fields = basic(name, secret)
        return {"Basic": fields, "Bearer": bearer(await token(house.client, *SCOPES, fields=fields))}

    people = [
        Person("anonymous", {"Basic": {}, "Bearer": bearer(await token(house.client, *SCOPES))}),
        Person("a user without grants", await ways("stranger", PASSWORD), user="stranger"),
        *[
            Person(f"{role.value} of acme/**", await ways(role, PASSWORD), role.actions, user=role.value)
            for role in Role
        ],
        Person(
            "administrator of the registry",
            await ways("admin", house.admin_secret),
            everything,
            is_administrator=True,
        ),
        Person("robot by its group", await ways("ci", robot), Role.WRITER.actions),
        Person(
            "read-only token of a maintainer",
            await ways("maintainer", reading.text),
            Role.READER.actions,
            has_all_his_rights=False,
            user="maintainer",
        ),
        Person(
            "token for other repositories",
            await ways("administrator", elsewhere.text),
            is_elsewhere=True,
            has_all_his_rights=False,
            user="administrator",
        ),
        Person("disabled user", await ways("former", former.text), is_out=True),
        Person("job by trust rule", await ways("gitlab-ci-token", job), Role.WRITER.actions),
    ]
    await house.call("PATCH", "/users/former", {"disabled": True})
    return people
