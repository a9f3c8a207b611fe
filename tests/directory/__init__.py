"""Asking real servers who somebody is: slapd, and an OIDC issuer of the tests' own."""
