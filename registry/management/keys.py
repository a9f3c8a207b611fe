"""Operations on the keys that sign registry tokens."""

from collections.abc import Sequence

from pydantic import Field

from registry.management.fields import Answer, Input, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.oci.errors import Conflict
from registry.services.signing_keys import SigningKeys


class Key(Answer):
    """A key; what is secret of it is never shown."""

    id: str = Field(description="its `kid`: the thumbprint of RFC 7638")
    algorithm: str = Field(examples=["ES256"])
    created_at: Time | None
    retired_at: Time | None = Field(description="from then on it only verifies; null: it signs")


class KeyList(Answer):
    """The oldest first; empty when the keys come from files."""

    keys: list[Key]


class Rotation(Input):
    """How keys are rotated."""

    at_once: bool = Field(False, description="void all tokens now: for a key that somebody else may have")


class RotatedKey(Answer):
    """The key that signs from now on."""

    id: str


class KeyOperations:
    """Everything about signing keys."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        return [
            Operation("key.list", "GET", "/keys", "List signing keys", needs, self.page, answer=KeyList),
            Operation(
                "key.rotate",
                "POST",
                "/keys/rotate",
                "Make a new signing key and retire the others",
                needs,
                self.rotate,
                body=Rotation,
                answer=RotatedKey,
                status=201,
            ),
        ]

    async def page(self, call: Call) -> KeyList:
        return KeyList(
            keys=[
                Key(
                    id=row.kid,
                    algorithm=row.algorithm,
                    created_at=moment(row.created_at),
                    retired_at=moment(row.retired_at),
                )
                for row in await self._keys.all()
            ]
        )

    async def rotate(self, call: Call) -> RotatedKey:
        body: Rotation = call.body
        try:
            return RotatedKey(id=await self._keys.rotate(call.actor, at_once=body.at_once))
        except ValueError as error:  # they come from files; the message says what to do instead
            raise Conflict(str(error)) from error
