"""Which components a test run must have: those named in INTERLOCK_REQUIRE fail where they are absent, others skip."""

import os


def may_skip(component: str, present: bool) -> bool:
    """Say whether tests that need `component` are to be skipped: it is absent and nobody insists on it."""
    return not present and component not in os.environ.get("INTERLOCK_REQUIRE", "").split(",")
