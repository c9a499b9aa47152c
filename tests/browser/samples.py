"""Runs for pages to show: one in each state, with branches, loops, retries, output, an undo, and names that mean harm."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from interlock.app.session import Session
from interlock.model.states import RunStatus

HOSTILE = "<script>alert(1)</script>\"'&\u202egnp.exe " + "long" * 400

ORDER = """
document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.2.0}
do:
  - reserve: {set: {items: '${ .items }', total: '${ .items | map(.price) | add }'}}
  - price:
      switch:
        - cheap: {when: '${ .total < 100 }', then: pack}
        - dear: {then: check}
  - check:
      fork:
        branches:
          - credit: {run: {shell: {command: 'echo credit of ann is fine; echo limit is near >&2'}}}
          - stock: {set: {stock: 12}}
          - fraud: {set: {score: 0.02}}
  - pack:
      for: {each: item, in: '${ $workflow.input.items }'}
      do:
        - wrap: {set: {wrapped: '${ $item.name }'}}
  - approve: {wait: %WAIT%}
  - ship: {set: {shipped: true, order: '${ $workflow.input.id }'}}
"""
FAILING = """
document: {dsl: 1.0.3, namespace: shop, name: refund, version: 0.3.1}
do:
  - look: {set: {amount: 12}, metadata: {interlock: {compensate: {set: {back: true}}}}}
  - pay:
      try:
        - charge: {raise: {error: {type: 'https://shop.example/errors/declined', status: 402, title: Declined, detail: the bank declined the card}}}
      catch:
        errors: {with: {status: 402}}
        retry: {limit: {attempt: {count: 1}}, delay: {milliseconds: 20}}
  - thank: {set: {thanked: true}}
"""
PLAIN_FAILING = """
document: {dsl: 1.0.3, namespace: shop, name: restock, version: 2.0.0}
do:
  - count: {set: {left: 3}}
  - orderMore: {run: {shell: {command: 'echo asking the supplier; echo no answer >&2; exit 7'}}}
  - note: {set: {noted: true}}
"""
ASKING = """
document: {dsl: 1.0.3, namespace: shop, name: release, version: 4.1.0}
do:
  - build: {set: {image: shop/web:812}}
  - approve:
      call: approval:1.0.0@default
      with: {to: [ops, ann], question: 'Ship <b>shop/web:812</b> to everybody?', expires: 2h, schema: {type: boolean}}
  - measure: {run: {shell: {command: 'true'}}, metadata: {interlock: {await: token}}}
  - ship: {set: {shipped: true}}
"""
SLEEPER = """
document: {dsl: 1.0.3, namespace: bank, name: settle, version: 1.0.0}
do:
  - night: {wait: {hours: 6}}
  - book: {set: {booked: true}}
"""
HARMFUL = """
document: {dsl: 1.0.3, namespace: shop, name: harm, version: 1.0.0}
do:
  - '<script>alert(2)</script>"''': {set: {said: '${ .said }'}}
"""
INPUT = {
    "id": 7,
    "items": [{"name": "lamp", "price": 80}, {"name": "chair", "price": 140}, {"name": "rug", "price": 45}],
}


def order(wait: str = "{milliseconds: 30}") -> str:
    return ORDER.replace("%WAIT%", wait)


async def settled(session: Session, id: str, *states: RunStatus, namespace: str = "shop") -> None:
    """Wait until a run stands as it should."""
    async with asyncio.timeout(60):
        while (await session.find(namespace, id)).status not in states:
            rung = asyncio.Event()
            end = session.store.bell.listen(rung.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await rung.wait()
            end()


async def start(session: Session, text: str, id: str, input: Any = None) -> None:
    await session.start(text, id=id, input=INPUT if input is None else input)


async def make(session: Session) -> None:
    """Start a run in each state and wait until they are there."""
    await start(session, order(), "order-1007")
    await start(session, FAILING, "refund-31")
    await start(session, PLAIN_FAILING, "restock-5")
    await start(session, order("{hours: 2}"), "order-1008")
    await start(session, SLEEPER, "settle-2026-11-21")
    await start(session, HARMFUL, "x\"'><script>alert(3)</script>/../" + "y" * 60, {"said": HOSTILE})
    await start(session, ASKING, "release-812")
    await start(session, order("{hours: 3}"), "order-1009")
    await start(session, order("{hours: 1}"), "order-1010")
    await settled(session, "order-1007", RunStatus.COMPLETED)
    for id in ("refund-31", "restock-5"):
        await settled(session, id, RunStatus.FAULTED)
    for id in ("release-812", "order-1008", "order-1009", "order-1010"):
        await settled(session, id, RunStatus.WAITING)
    await session.cancel(await session.find("shop", "order-1009"), "the customer changed their mind")
    await session.suspend(await session.find("shop", "order-1010"))
    await settled(session, "order-1009", RunStatus.CANCELLED)
    await settled(session, "order-1010", RunStatus.SUSPENDED)
