"""Measures one case of one product in this process and prints what came out: `python -m bench.subject interlock-sqlite W1`.

Prints one line of JSON: the figures, or under `error` why there are none. Without `--url` it makes its own store, and
starts its own server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import products, servers, sizes
from bench.case import Case, Given
from bench.products import Kind, Product
from bench.sizes import Scale


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    product = products.PRODUCTS[asked.subject]
    answer: dict[str, Any] = {"subject": product.subject, "case": asked.case, "version": product.version()}
    try:
        answer["figures"] = measured(product, asked.case, Scale(asked.scale), asked.url, asked.event_loop)
    except NotImplementedError as error:
        answer["absent"] = str(error)
    except Exception as error:  # noqa: BLE001 (whatever a product raises is its result; the table names it)
        traceback.print_exc(file=sys.stderr)
        answer["error"] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


def measured(
    product: Product, case: str, scale: Scale, url: str | None = None, event_loop: str = "asyncio"
) -> dict[str, float]:
    """Give the figures of one case, measured now. Raises NotImplementedError: the product has no such case.

    `event_loop`: the module whose loop it runs on, `asyncio` or `uvloop`.
    """
    cases: dict[str, Case] = importlib.import_module(product.module).CASES
    if case not in cases:
        raise NotImplementedError(f"{product.subject} has no case {case}")
    with tempfile.TemporaryDirectory(prefix="interlock-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with stored(product, folder, url) as place:
            given = Given(subject=product.subject, url=place, folder=folder, sizes=sizes.of(scale))
            with asyncio.Runner(loop_factory=importlib.import_module(event_loop).new_event_loop) as runner:
                return runner.run(cases[case](given))


@contextlib.contextmanager
def stored(product: Product, folder: Path, url: str | None) -> Iterator[str]:
    """Give the URL of an empty store for a product: `url`, or one of its own. Raises servers.Missing."""
    if url is not None:
        yield url
        return
    match product.kind:
        case Kind.SQLITE:
            yield f"sqlite:///{folder / 'store.db'}"
        case Kind.POSTGRESQL:
            with servers.postgresql() as server, server.database() as place:
                yield place
        case Kind.REDIS:
            with servers.redis() as place:
                yield place


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.subject", description=__doc__)
    parser.add_argument("subject", choices=products.PRODUCTS)
    parser.add_argument("case")
    parser.add_argument("--scale", choices=list(Scale), default=Scale.FULL, help="how much it does")
    parser.add_argument("--quick", dest="scale", action="store_const", const=Scale.QUICK)
    parser.add_argument("--event-loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--url", help="an empty store, instead of one of its own")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
