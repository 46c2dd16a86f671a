"""The shell on aiohttp."""
