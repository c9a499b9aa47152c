"""Whether another process of this host is there, and who may say so."""

from __future__ import annotations

import os
import resource

import msgspec
import pytest

from interlock import errors
from interlock.engine import identity
from interlock.service import SystemClock


def test_process_that_is_gone_is_dead_and_one_that_lives_is_not() -> None:
    here = identity.here(SystemClock(), "engine", pinned=False)
    assert not identity.is_dead(here)
    assert identity.is_dead(msgspec.structs.replace(here, started=here.started - 1))


def test_process_that_may_open_no_file_takes_nobody_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = msgspec.structs.replace(identity.here(SystemClock(), "engine", pinned=False), started=0.5)
    boot = identity._boot()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(identity, "_boot", lambda: boot)  # a descriptor was there a moment ago
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        assert not identity.is_dead(gone)
        with pytest.raises(OSError, match=os.strerror(24)):
            identity.started(os.getpid())
        with pytest.raises(errors.StoreUnavailable) as refused:
            identity.here(SystemClock(), "engine", pinned=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert refused.value.short_of == errors.DESCRIPTORS
    assert identity.is_dead(gone)
