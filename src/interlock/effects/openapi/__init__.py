"""Calls of operations that an OpenAPI document describes: Swagger 2.0, OpenAPI 3.0 and 3.1 (OWS 1.0.3, "OpenAPI Call").

`documents` fetches and keeps documents, `operations` finds what is called, `building` makes the request. What comes back
is told by `effects.http`.
"""
