"""How many instances a pool should have: a table, and a day of it (OP-05)."""

from __future__ import annotations

import itertools

import pytest

from interlock.decisions.autoscaling import Direction, Seen, Terms, decide

TERMS = Terms(
    up=Direction(queue=50, utilisation=0.8, cooldown_seconds=300.0, step=2),
    down=Direction(queue=10, utilisation=0.2, cooldown_seconds=600.0, step=2),
    lowest=2,
    highest=20,
)
"""Those of the checklist: above 80 % and a queue of 50, up by 2; below 20 % and a queue of 10, down by 2."""


@pytest.mark.parametrize(
    ("instances", "queue", "utilisation", "since", "expected"),
    [
        (4, 51, 0.81, None, 6),
        (4, 50, 0.81, None, None),
        (4, 51, 0.80, None, None),
        (4, 51, 0.19, None, None),
        (4, 51, 0.81, 299.0, None),
        (4, 51, 0.81, 300.0, 6),
        (19, 51, 1.0, None, 20),
        (20, 51, 1.0, None, None),
        (6, 9, 0.19, None, 4),
        (6, 10, 0.19, None, None),
        (6, 9, 0.20, None, None),
        (6, 9, 0.19, 599.0, None),
        (6, 9, 0.19, 600.0, 4),
        (3, 0, 0.0, None, 2),
        (2, 0, 0.0, None, None),
        (0, 0, 0.0, None, 2),
        (0, 0, 0.0, 299.0, None),
        (25, 51, 1.0, None, 20),
        (25, 51, 1.0, 599.0, None),
    ],
)
def test_both_thresholds_the_bounds_and_the_cooldown_decide(
    instances: int, queue: int, utilisation: float, since: float | None, expected: int | None
) -> None:
    found = decide(TERMS, Seen(instances=instances, queue=queue, utilisation=utilisation, since_change_seconds=since))

    assert (None if found is None else found.to) == expected


def test_a_flood_and_its_end_stay_within_bounds_and_keep_the_cooldown() -> None:
    """A day in rounds of 15 s: 60 tasks a minute come for two hours, each takes an instance 5 minutes."""
    instances, queue, running, changed_at = 2, 0, 0, None
    changes: list[tuple[int, int, int]] = []
    for second in range(0, 86_400, 15):
        queue += 15 if second < 7200 else 0
        running -= min(running, max(1, round(running * 15 / 300)))
        started = min(queue, max(0, instances * 10 - running))
        queue, running = queue - started, running + started
        since = None if changed_at is None else float(second - changed_at)
        found = decide(
            TERMS,
            Seen(
                instances=instances,
                queue=queue,
                utilisation=min(1.0, running / (instances * 10)),
                since_change_seconds=since,
            ),
        )
        if found is not None:
            changes.append((second, instances, found.to))
            instances, changed_at = found.to, second

    assert max(to for _, _, to in changes) == 20
    assert instances == 2
    assert all(2 <= to <= 20 for _, _, to in changes)
    for (before, _, _), (second, start, to) in itertools.pairwise(changes):
        assert second - before >= (300 if to > start else 600)


def test_the_reason_names_what_was_seen() -> None:
    found = decide(TERMS, Seen(instances=4, queue=60, utilisation=0.9))

    assert found is not None
    assert found.reason == "60 wait, 90 % taken"
