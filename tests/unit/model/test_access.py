"""Roles, rights, and to which namespaces they are limited."""

from __future__ import annotations

import pytest

from interlock.model.access import RIGHTS, Principal, Right, Role

ALLOWED = {
    Role.VIEWER: "read",
    Role.OPERATOR: "read operate",
    Role.WORKER: "read work",
    Role.ADMIN: "read operate work publish administer",
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_role_has_the_rights_of_the_table_and_no_other(role: Role, right: Right) -> None:
    allowed = right in ALLOWED[role].split()
    assert (right in RIGHTS[role]) is allowed
    assert Principal("ann", role, None).may(right, "shop") is allowed
    assert Principal("ann", role, None).may(right, None) is allowed
    assert Principal("ann", role, ("shop",)).may(right, "shop") is allowed


@pytest.mark.parametrize("namespace", ["bank", "Shop", "shop ", "", None])
@pytest.mark.parametrize("limits", [("shop",), ("shop", "stock"), ()])
def test_limited_principal_may_do_nothing_elsewhere_nor_what_concerns_all(
    limits: tuple[str, ...], namespace: str | None
) -> None:
    who = Principal("ann", Role.ADMIN, limits)
    assert not any(who.may(right, namespace) for right in Right)
