"""The client of the HTTP API. It knows the shapes of `wire` and nothing of stores and engines, so that it is light."""
