"""The first administrator: without one, nobody could let anybody in."""

import asyncio
import time

from auth.actor import SYSTEM
from auth.passwords import check_password_strength, hash_password, random_password
from auth.patterns import EVERYTHING
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import Connection, Index, access, grants, principals, users
from registry.services.accounts.administrators import is_administered
from registry.services.audit import Audit, AuditRow

NAME = "admin"


async def ensure_administrator(index: Index, audit: Audit, password: str | None) -> str | None:
    """Make the user `admin` if nobody was ever administrator of everything; the password to show, once.

    `password` is what an operator gave: then nothing is to be shown. Any number of processes may do this at
    once; one of them makes the user. Raises ValueError for a password that is too weak.
    """
    if await index.read(is_administered):
        return None
    if password is not None:
        check_password_strength(password)
    chosen = password or random_password()
    hashed = await asyncio.to_thread(hash_password, chosen)

    def change(connection: Connection) -> tuple[AuditRow, bool] | None:
        access.bump(connection)  # who else starts now waits for us here, and then finds that it is done
        if is_administered(connection):
            return None
        now = time.time()
        description = "the first administrator"
        created = users.create(connection, NAME, hashed, "local", description, now, SYSTEM.principal)
        row = principals.find(connection, Principal(Kind.USER, NAME))
        assert row is not None
        grants.add(connection, row.id, Role.ADMINISTRATOR, EVERYTHING, now, SYSTEM.principal)
        # One who was made by hand before the first start keeps the password that he has.
        return audit.record(connection, SYSTEM, "user.create", f"user:{NAME}"), created is not None

    made = await index.write(change)
    if made is None:
        return None
    told, is_new = made
    audit.tell(told)
    return chosen if is_new and password is None else None
