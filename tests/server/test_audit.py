"""Whatever is changed over HTTP is in the audit log under the name of who did it."""

from __future__ import annotations

from interlock.model.access import Role
from server import site as sites
from server.site import Site


async def test_changes_are_told_with_the_key_that_made_them(site: Site) -> None:
    await site.with_keys()
    async with site.client(Role.ADMIN) as client:
        await client.publish(sites.WAITING)
        await client.start("shop/waiting", id="w1")
    async with site.client(Role.OPERATOR) as client:
        await client.cancel("w1", "enough")
    async with site.http(Role.ADMIN) as http:
        first = (await http.get("/api/v1/audit?limit=2")).json()
        second = (await http.get(f"/api/v1/audit?limit=100&before={first['next']}")).json()

    told = [(each["actor"], each["action"]) for each in first["items"] + second["items"]]
    assert ("key:the-operator", "cancel") in [(actor, action.partition(":")[0]) for actor, action in told]
    assert ("key:the-admin", "publish") in told
    numbers = [each["number"] for each in first["items"] + second["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert second["next"] is None
