"""The shapes of the HTTP API: what requests and answers are, for the server, its clients and the OpenAPI document.

Values only. Times are UTC seconds since 1970. A field that is left out has the default that stands beside it; an unknown
field is refused in requests, and ignored in answers, so that an older client reads a newer server.
"""
