"""The settings: one typed, immutable tree. Where the values come from is `registry.config_sources`."""

from registry.config.accounts import AuditSettings, AuthSettings, IssuerSettings, LdapSettings
from registry.config.settings import Settings
from registry.config.values import ConfigError, Network, usable_cores

__all__ = [
    "AuditSettings",
    "AuthSettings",
    "ConfigError",
    "IssuerSettings",
    "LdapSettings",
    "Network",
    "Settings",
    "usable_cores",
]
