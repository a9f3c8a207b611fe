"""TLS without a proxy: certificates from files, or from an authority of this registry's own."""

from registry.config import Settings
from registry.tls.certificate import ServerCertificate

__all__ = ["ServerCertificate", "server_certificate"]


def server_certificate(settings: Settings) -> ServerCertificate | None:
    """The certificate to serve with, if the settings want one. An authority's must have been made.

    Raises ValueError, in words for whoever configures, for files that can't be used.
    """
    server = settings.server
    if server.tls == "auto":
        from registry.tls.authority import LocalAuthority  # its library takes a while to import

        authority = LocalAuthority(settings.tls_folder())
        return ServerCertificate(authority.server_file, authority.server_file, renew=authority.renew)
    if server.tls_certificate is None or server.tls_key is None:
        return None
    return ServerCertificate(server.tls_certificate, server.tls_key)
