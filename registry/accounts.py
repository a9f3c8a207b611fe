"""The part of the composition root that is about accounts: who may do what, and how that is managed.

The server needs it, and so does the command line when it works on the index itself.
"""

from functools import partial

from auth.directory import Directory
from auth.keys import parse_pem_public
from registry.config import IssuerSettings, LdapSettings, Settings
from registry.identity.issuers import IssuerKeys
from registry.index import Index
from registry.services.access import Access, OpenAccess
from registry.services.access_cache import Epoch
from registry.services.audit import Audit
from registry.services.authentication import Authentication
from registry.services.federation import Federation
from registry.services.other_issuers import OtherIssuer
from registry.services.registry_tokens import RegistryTokens
from registry.services.sign_in import SignIn
from registry.services.signing_keys import SigningKeys

ISSUER = "entrepot"
"""`iss` of our tokens. What tells registries apart is their keys."""


class Accounts:
    """Joined on one index; call it inside the running event loop."""

    def __init__(self, settings: Settings, index: Index, audit: Audit, epoch: Epoch) -> None:
        """Raises ValueError for key files that can't be used."""
        auth = settings.auth
        self.issuer_keys = IssuerKeys()
        self.keys = SigningKeys(index, audit, algorithm=auth.algorithm, token_seconds=auth.token_seconds)
        self.keys.use_files(auth.key_files)
        self.directory = directory_of(settings.ldap)
        self.sign_in = SignIn(index, audit, Federation(index, self.issuer_keys), self.directory)
        self.tokens = RegistryTokens(
            index,
            self.keys,
            issuer=ISSUER,
            service=auth.service,
            seconds=auth.token_seconds,
            refresh_seconds=auth.refresh_seconds,
        )
        others = {other.issuer: self._other_issuer(other) for other in auth.issuers}
        self.access: Access | OpenAccess = OpenAccess()
        if not settings.open:
            authentication = Authentication(
                index,
                epoch,
                self.sign_in,
                self.keys,
                audit,
                issuer=ISSUER,
                service=auth.service,
                others=others,
            )
            self.access = Access(index, epoch, authentication, audit)

    def _other_issuer(self, settings: IssuerSettings) -> OtherIssuer:
        if settings.jwks_url is not None:
            return OtherIssuer(
                settings.audience, fetch=partial(self.issuer_keys.fetch_jwks, settings.jwks_url)
            )
        assert settings.keys_file is not None, "one of them is set: the settings see to it"
        try:
            keys = parse_pem_public(settings.keys_file.read_text("ascii"))
        except OSError as error:
            raise ValueError(f"auth.issuers: can't read {settings.keys_file}: {error.strerror}") from error
        return OtherIssuer(settings.audience, keys)

    async def close(self) -> None:
        """Let go of threads and connections."""
        self.sign_in.close()
        await self.issuer_keys.aclose()
        if self.directory is not None:
            await self.directory.aclose()


def directory_of(settings: LdapSettings) -> Directory | None:
    """The directory that is configured, if one is."""
    if settings.url is None:
        return None
    from registry.identity.ldap import LdapDirectory  # its library takes a while to import

    return LdapDirectory(settings)
