"""How the command line speaks the management API: on the index itself, or with a running server."""
