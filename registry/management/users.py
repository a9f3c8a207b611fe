"""Operations on users, and importing them from a file."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from auth.jws import looks_like_jwt
from auth.secrets import kind_of
from registry.management.fields import Answer, Input, Line, Name, Password, Search, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import denied, is_self
from registry.management.units import moment
from registry.oci.errors import InputInvalid, Unauthenticated
from registry.services.accounts.users import UserRow, Users
from registry.services.sign_in import SignIn

LARGEST_IMPORT = 1024 * 1024


class User(Answer):
    """A user. `source` is local, or ldap for one whom the directory knows."""

    name: str = Field(examples=["alice"])
    description: str
    disabled: bool
    source: str = Field(examples=["local"])
    created_at: Time | None
    created_by: str = Field(examples=["user:admin"])
    signed_in_at: Time | None = Field(description="null: not yet")


class UserWithGroups(User):
    """A user and the groups it is in."""

    groups: list[str]


class UserPage(Answer):
    """Users in the order of their names. `next`: give it as `last` for more; null at the end."""

    users: list[User]
    next: str | None


class NewUser(Input):
    """A user to be made."""

    name: Name
    password: Password | None = Field(None, description="one is thought up when there is none")
    description: Line = ""


class CreatedUser(Answer):
    """A user that was made."""

    user: UserWithGroups
    password: str | None = Field(description="the one that was thought up; it is shown only now")


class UserChanges(Input):
    """What is to change; what is left out stays."""

    disabled: bool | None = None
    description: Line | None = None


class NewPassword(Input):
    """A new password."""

    password: Password
    current: Password | None = Field(None, description="the one of now; needed for one's own")


class HtpasswdFile(Input):
    """What is in an htpasswd file."""

    text: str = Field(
        max_length=LARGEST_IMPORT,
        description="lines as `htpasswd -B` writes them: name:hash, bcrypt only",
        examples=["alice:$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"],
    )


class ImportedUsers(Answer):
    """Names that were in the file: users that were made, and those that were there and stay as they were."""

    created: list[str]
    present: list[str]


class UserOperations:
    """Everything about users but their tokens."""

    def __init__(self, users: Users, sign_in: SignIn) -> None:
        self._users = users
        self._sign_in = sign_in

    def operations(self) -> Sequence[Operation]:
        administrator, oneself = Needs.ADMINISTRATOR, Needs.SELF_OR_ADMINISTRATOR
        path = "/users/{name}"
        return [
            Operation(
                "user.list",
                "GET",
                "/users",
                "List users",
                administrator,
                self.page,
                query=Search,
                answer=UserPage,
            ),
            Operation(
                "user.create",
                "POST",
                "/users",
                "Make a user",
                administrator,
                self.create,
                body=NewUser,
                answer=CreatedUser,
                status=201,
                makes_credentials=True,
            ),
            Operation("user.get", "GET", path, "Show a user", oneself, self.get, answer=UserWithGroups),
            Operation(
                "user.configure",
                "PATCH",
                path,
                "Disable, enable or describe a user",
                administrator,
                self.configure,
                body=UserChanges,
                answer=UserWithGroups,
            ),
            Operation(
                "user.remove",
                "DELETE",
                path,
                "Remove a user with all grants and tokens",
                administrator,
                self.remove,
                status=204,
            ),
            Operation(
                "user.password",
                "PUT",
                f"{path}/password",
                "Set a password",
                oneself,
                self.set_password,
                body=NewPassword,
                status=204,
                makes_credentials=True,
            ),
            Operation(
                "user.import",
                "POST",
                "/import/htpasswd",
                "Make users from an htpasswd file",
                administrator,
                self.import_htpasswd,
                body=HtpasswdFile,
                answer=ImportedUsers,
                makes_credentials=True,
            ),
        ]

    async def page(self, call: Call) -> UserPage:
        query: Search = call.query
        rows, more = await self._users.page(query.last, query.n, query.search)
        return UserPage(
            users=[User(**facts(row)) for row in rows], next=rows[-1].principal.name if more else None
        )

    async def create(self, call: Call) -> CreatedUser:
        body: NewUser = call.body
        password = await self._users.create(body.name, body.password, body.description, call.actor)
        return CreatedUser(
            user=await self._user(body.name), password=password if body.password is None else None
        )

    async def get(self, call: Call) -> UserWithGroups:
        return await self._user(call.path["name"])

    async def configure(self, call: Call) -> UserWithGroups:
        body: UserChanges = call.body
        name = call.path["name"]
        await self._users.configure(name, call.actor, disabled=body.disabled, description=body.description)
        return await self._user(name)

    async def remove(self, call: Call) -> None:
        await self._users.remove(call.path["name"], call.actor)

    async def set_password(self, call: Call) -> None:
        """One's own only with the one of now: whoever finds a session open must not be able to keep it."""
        body: NewPassword = call.body
        name = call.path["name"]
        if is_self(call):
            if body.current is None:
                raise InputInvalid([("current", "is missing: give the password of now to change your own")])
            await self._check_current(call, name, body.current)
        await self._users.set_password(name, body.password, call.actor)

    async def _check_current(self, call: Call, name: str, current: str) -> None:
        """Raises Denied, and TooManyRequests after many wrong ones."""
        wrong = denied(call, "the current password is wrong")
        if kind_of(current) is not None or looks_like_jwt(current):
            raise wrong
        try:
            await self._sign_in.sign_in(name, current, call.actor)
        except Unauthenticated as error:
            raise wrong from error

    async def import_htpasswd(self, call: Call) -> ImportedUsers:
        body: HtpasswdFile = call.body
        created, present = await self._users.import_htpasswd(body.text, call.actor)
        return ImportedUsers(created=list(created), present=list(present))

    async def _user(self, name: str) -> UserWithGroups:
        row, groups = await self._users.get(name)
        return UserWithGroups(**facts(row), groups=list(groups))


def facts(row: UserRow) -> dict[str, Any]:
    principal = row.principal
    return {
        "name": principal.name,
        "description": principal.description,
        "disabled": principal.disabled,
        "source": row.source,
        "created_at": moment(principal.created_at),
        "created_by": principal.created_by,
        "signed_in_at": moment(row.signed_in_at),
    }
