"""How well a registry keeps to the OCI Distribution Specification: our own suite, and the official one."""
