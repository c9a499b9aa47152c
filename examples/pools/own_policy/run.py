"""Texts compressed one after the other, in the order of a policy that this folder brings: the largest first.

    python examples/pools/own_policy/run.py [FOLDER]

With one place the order in which they end is the one in which they began.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from desk import Desk, tell  # what starts the node, and brings the texts


def main() -> int:
    with Desk(Path(__file__).parent) as desk:
        sizes = {text.name: text.stat().st_size for text in desk.texts}
        urgent = min(sizes, key=lambda name: (sizes[name], name))
        tasks = [
            {
                "id": name.removesuffix(".md").replace(".", "-"),
                "run": ["gzip", "--keep", f"texts/{name}"],
                "inputs": {"bytes": size},
                "priority": 1 if name == urgent else 0,
            }
            for name, size in sizes.items()
        ]
        desk.load("compress", tasks)
        done = desk.done("compress")
        ended = sorted(done, key=lambda id: done[id]["ended_at"])
        for id in ended:
            name = next(name for name in sizes if name.removesuffix(".md").replace(".", "-") == id)
            packed = desk.folder / "texts" / f"{name}.gz"
            if gzip.decompress(packed.read_bytes()) != (desk.folder / "texts" / name).read_bytes():
                raise SystemExit(f"{packed.name} does not hold what {name} does")
            why = "  (urgent: its priority counts first)" if name == urgent else ""
            tell(f"{id}: {sizes[name]} bytes, compressed to {packed.stat().st_size}{why}")
    wanted = sorted(tasks, key=lambda task: (-int(task["priority"]), -int(task["inputs"]["bytes"])))  # type: ignore[call-overload,index]
    in_order = ended == [task["id"] for task in wanted]
    tell(
        f"{len(ended)} texts were compressed, {'the largest first' if in_order else 'in ANOTHER ORDER than the policy says'}"
    )
    return 0 if in_order else 1


if __name__ == "__main__":
    raise SystemExit(main())
