"""A memory as a service: HTTP routes over live memories. FastAPI and uvicorn come with the `serve` extra."""
