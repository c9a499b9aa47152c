"""The HTTP API, its event streams, who may do what, and the dashboard.

Here belongs what turns a request into a call of `app` and an answer into a response. What a run, a token or a lock *is*
does not: a route that decides something is in the wrong place.
"""
