"""HTTP: the Distribution v2 API on aiohttp's low-level server."""
