"""What is watched in the database while a world goes on: by triggers, and after each call of the store."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from interlock.store.ports import Batch, Committed

_TRIGGERS: Final = """
CREATE TEMP TABLE noted (what TEXT NOT NULL);
CREATE TEMP TABLE told (run TEXT NOT NULL, cause_id TEXT NOT NULL, PRIMARY KEY (run, cause_id));
CREATE TEMP TRIGGER task_ended_twice AFTER UPDATE OF state ON main.tasks
WHEN OLD.state IN ('done', 'failed', 'cancelled', 'skipped')
BEGIN
  INSERT INTO noted VALUES ('the task ' || OLD.task || ', which was ' || OLD.state || ', became ' || NEW.state);
END;
CREATE TEMP TRIGGER fence_went_back AFTER UPDATE OF fence ON main.tasks
WHEN NEW.fence < OLD.fence AND NEW.state NOT IN ('held', 'delayed')  -- a claim takes back what a limit refuses
BEGIN
  INSERT INTO noted VALUES ('the fence of the task ' || OLD.task || ' went back to ' || NEW.fence);
END;
CREATE TEMP TRIGGER run_went_on AFTER UPDATE OF seq ON main.runs WHEN OLD.ended_at IS NOT NULL AND OLD.status <> 'faulted'
BEGIN
  INSERT INTO noted VALUES ('the run ' || OLD.id || ', which was ' || OLD.status || ', went on');
END;
CREATE TEMP TRIGGER epoch_went_back AFTER UPDATE OF epoch ON main.runs WHEN NEW.epoch < OLD.epoch
BEGIN
  INSERT INTO noted VALUES ('the epoch of the run ' || OLD.id || ' went back to ' || NEW.epoch);
END;
CREATE TEMP TRIGGER told_twice AFTER INSERT ON main.inbox
WHEN EXISTS (SELECT 1 FROM told WHERE run = NEW.run AND cause_id = NEW.cause_id)
BEGIN
  INSERT INTO noted VALUES ('the run ' || NEW.run || ' was told twice of ' || NEW.cause_id);
END;
CREATE TEMP TRIGGER told_once AFTER INSERT ON main.inbox
BEGIN
  INSERT OR IGNORE INTO told VALUES (NEW.run, NEW.cause_id);
END;
"""


class Watch:
    """`slots`: attempts that one node may hold, by pool."""

    def __init__(self, connection: sqlite3.Connection, slots: dict[str, int]) -> None:
        self._connection = connection
        self._slots = slots
        self.problems: list[str] = []
        connection.executescript(_TRIGGERS)

    def called(self, name: str, args: tuple[Any, ...], given: object) -> None:
        """Look at what a call of the store did."""
        match name:
            case "journal.commit" if given is Committed.APPLIED:
                self._committed(args[0])
            case "queue.claim":
                self._limited()
                self._claimed(args[0], args[1], bool(given))
            case "pools.place":
                self._limited()

    def all(self) -> list[str]:
        """Give all problems that were seen."""
        return [*self.problems, *(what for (what,) in self._rows("SELECT what FROM temp.noted"))]

    def _committed(self, batch: Batch) -> None:
        """Whoever commits owns the run."""
        rows = self._rows("SELECT id, epoch FROM runs WHERE run = ?", batch.run)
        self.problems += [
            f"epoch {batch.epoch} of the run {id} wrote its commit {batch.seq + 1} when epoch {epoch} had begun"
            for id, epoch in rows
            if epoch != batch.epoch
        ]

    def _limited(self) -> None:
        """Nothing is leased above its limit."""
        over = self._rows(
            "SELECT name, count(*), capacity FROM lease_limits JOIN limits USING (name)"
            " WHERE capacity IS NOT NULL GROUP BY name HAVING count(*) > capacity"
        )
        self.problems += [f"{count} leases name the limit {name} of {most}" for name, count, most in over]

    def _claimed(self, node: str, pool: str, something: bool) -> None:
        """No claim gives a node more attempts than it has slots.

        It may hold more: those that it adopted on top run already, and it starts none before there is room again.
        """
        held = self._rows(
            "SELECT count(*) FROM leases WHERE kind = 'attempt' AND holder = ? AND place = ?", node, pool
        )[0][0]
        if something and held > self._slots[pool]:
            self.problems.append(
                f"a claim gave the node {node} {held} attempts of {self._slots[pool]} in the pool {pool}"
            )

    def _rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()
