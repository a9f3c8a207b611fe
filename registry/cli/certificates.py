"""What `entrepot serve` does for TLS before it listens, and what it tells clients to trust."""

import socket
from urllib.parse import urlsplit

from registry.config import ConfigError, Settings
from registry.tls import server_certificate

DOCKER = "/etc/docker/certs.d"
CONTAINERS = "/etc/containers/certs.d"
CONTAINERD = "/etc/containerd/certs.d"


def prepare_certificate(settings: Settings) -> None:
    """Make the authority and its certificate, if they are wanted, and see that what is there can be used.

    Raises ConfigError.
    """
    try:
        if settings.server.tls == "auto":
            from registry.tls.authority import LocalAuthority, own_names

            external = urlsplit(settings.server.external_url or "").hostname
            LocalAuthority(settings.tls_folder()).ensure(own_names(settings.server.host, external))
        server_certificate(settings)
    except ValueError as error:
        raise ConfigError([f"server.tls: {error}"]) from error
    except OSError as error:
        raise ConfigError([f"server.tls: {error.filename}: {error.strerror}"]) from error


def trust_lines(settings: Settings) -> list[str]:
    """Commands that make engines on another machine trust our authority."""
    name = name_for_others(settings)
    hosts = f'server = "https://{name}"\\n\\n[host."https://{name}"]\\n  ca = "{CONTAINERD}/{name}/ca.crt"\\n'
    return [
        f"the authority behind its certificate is {settings.tls_folder().absolute() / 'ca.pem'};",
        "to trust it on another machine, copy that file there and run as root",
        "    # docker",
        f"    install -D -m 644 ca.pem {DOCKER}/{name}/ca.crt",
        "    # podman, buildah, skopeo",
        f"    install -D -m 644 ca.pem {CONTAINERS}/{name}/ca.crt",
        "    # containerd, whose config_path is /etc/containerd/certs.d",
        f"    install -D -m 644 ca.pem {CONTAINERD}/{name}/ca.crt",
        f"    printf '{hosts}' > {CONTAINERD}/{name}/hosts.toml",
    ]


def name_for_others(settings: Settings) -> str:
    """How other machines name this registry, as far as we know, with its port."""
    server = settings.server
    if server.external_url:
        return urlsplit(server.external_url).netloc
    if server.host in ("0.0.0.0", "::"):  # noqa: S104 - these stand for all
        return f"{socket.gethostname()}:{server.port}"
    return server.listen
