"""Operations on robots and their secrets."""

from collections.abc import Sequence

from pydantic import Field

from registry.management.fields import Answer, Duration, Input, Line, Name, Search, Time
from registry.management.groups import principal_facts
from registry.management.operation import Call, Needs, Operation
from registry.management.tokens import NewLimits, Token, token_facts
from registry.services.accounts.credentials import Wanted
from registry.services.accounts.robots import Robots


class Robot(Answer):
    """A robot."""

    name: str = Field(examples=["ci"])
    description: str
    disabled: bool
    created_at: Time | None
    created_by: str


class RobotWithSecrets(Robot):
    """A robot, the groups it is in, and what is known of its secrets."""

    groups: list[str]
    secrets: list[Token]


class RobotPage(Answer):
    """Robots in the order of their names. `next`: give it as `last` for more; null at the end."""

    robots: list[Robot]
    next: str | None


class NewRobot(NewLimits):
    """A robot to be made, with what its secret is limited to."""

    name: Name
    description: Line = ""


class CreatedRobot(Answer):
    """A robot that was made."""

    robot: RobotWithSecrets
    secret: str = Field(description="what it signs in with, under its name; it is shown only now")


class RobotChanges(Input):
    """What is to change; what is left out stays."""

    disabled: bool | None = None
    description: Line | None = None


class NewSecret(Input):
    """A new secret for a robot, limited as the one before."""

    keep_old: Duration | None = Field(
        None, description="how long the old secrets still count; without, they end now", examples=["1h"]
    )
    expires: Duration | None = Field(
        None, description="how long it lives; without, as long as the one before"
    )


class CreatedSecret(Answer):
    """A secret that was made."""

    secret: str = Field(description="it is shown only now")


class RobotOperations:
    """Everything about robots."""

    def __init__(self, robots: Robots) -> None:
        self._robots = robots

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        path = "/robots/{name}"
        return [
            Operation(
                "robot.list",
                "GET",
                "/robots",
                "List robots",
                needs,
                self.page,
                query=Search,
                answer=RobotPage,
            ),
            Operation(
                "robot.create",
                "POST",
                "/robots",
                "Make a robot",
                needs,
                self.create,
                body=NewRobot,
                answer=CreatedRobot,
                status=201,
                makes_credentials=True,
            ),
            Operation("robot.get", "GET", path, "Show a robot", needs, self.get, answer=RobotWithSecrets),
            Operation(
                "robot.configure",
                "PATCH",
                path,
                "Disable, enable or describe a robot",
                needs,
                self.configure,
                body=RobotChanges,
                answer=RobotWithSecrets,
            ),
            Operation(
                "robot.remove",
                "DELETE",
                path,
                "Remove a robot with its grants and secrets",
                needs,
                self.remove,
                status=204,
            ),
            Operation(
                "robot.secret",
                "POST",
                f"{path}/secret",
                "Give a robot a new secret",
                needs,
                self.new_secret,
                body=NewSecret,
                answer=CreatedSecret,
                status=201,
                makes_credentials=True,
            ),
        ]

    async def page(self, call: Call) -> RobotPage:
        query: Search = call.query
        rows, more = await self._robots.page(query.last, query.n, query.search)
        return RobotPage(
            robots=[Robot(**principal_facts(row)) for row in rows], next=rows[-1].name if more else None
        )

    async def create(self, call: Call) -> CreatedRobot:
        body: NewRobot = call.body
        wanted = Wanted(body.description, body.expires, body.limits())
        secret = await self._robots.create(body.name, wanted, call.actor)
        return CreatedRobot(robot=await self._robot(body.name), secret=secret)

    async def get(self, call: Call) -> RobotWithSecrets:
        return await self._robot(call.path["name"])

    async def configure(self, call: Call) -> RobotWithSecrets:
        body: RobotChanges = call.body
        name = call.path["name"]
        await self._robots.configure(name, call.actor, disabled=body.disabled, description=body.description)
        return await self._robot(name)

    async def remove(self, call: Call) -> None:
        await self._robots.remove(call.path["name"], call.actor)

    async def new_secret(self, call: Call) -> CreatedSecret:
        body: NewSecret = call.body
        secret = await self._robots.new_secret(
            call.path["name"], call.actor, keep_old=body.keep_old, lives=body.expires
        )
        return CreatedSecret(secret=secret)

    async def _robot(self, name: str) -> RobotWithSecrets:
        row, groups, secrets = await self._robots.get(name)
        return RobotWithSecrets(
            **principal_facts(row),
            groups=list(groups),
            secrets=[Token(**token_facts(secret)) for secret in secrets],
        )
