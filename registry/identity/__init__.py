"""Asking other servers who somebody is: a directory (LDAP), the issuers of OIDC tokens."""
