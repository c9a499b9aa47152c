"""The dashboard: pages that are rendered on the server, readable without JavaScript, and live with a little of it.

`pages` makes view models from an open session, `templates` render them, `routes` serves them. What a page shows is decided
in `pages`; a template that computes something is in the wrong place. `static` is our own: nothing is built, nothing fetched.
"""

from __future__ import annotations

from interlock.server.dashboard.routes import router

__all__ = ["router"]
