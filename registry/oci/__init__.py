"""The registry's vocabulary as pure values: no I/O, no HTTP, no SQL."""
