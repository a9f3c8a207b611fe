"""The services on what the settings name, for commands that do their work in their own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from auth.actor import Actor
from auth.identity import operator
from registry.cli.client.local import system_user
from registry.cli.commands import CommandError
from registry.composition import Composition
from registry.config import ConfigError, Settings
from registry.oci.errors import RegistryError


@asynccontextmanager
async def open_services(
    settings: Settings, failure: type[CommandError] = CommandError
) -> AsyncIterator[Composition]:
    """Have the services for the length of the block. Raises ConfigError, and `failure` for every
    RegistryError that leaves the block."""
    try:
        services = Composition(settings)
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    try:
        yield services
    except RegistryError as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise failure(f"{error.message}{cause}") from error
    finally:
        await services.close()


def this_operator() -> Actor:
    """Whoever runs this process."""
    return Actor(str(operator(system_user()).principal))
