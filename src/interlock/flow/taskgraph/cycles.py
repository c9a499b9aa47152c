"""Circles of tasks that wait for each other: each with its path, and only those that are in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def cycles(after: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Give one circle for every set of tasks that wait for each other, as the way round, each task once.

    `after`: by task, those it waits for. A task that only waits for one in a circle is in none (checklist DL-02). The way is
    the shortest from the first task of a set back to it. Takes time in proportion to tasks and edges, and no recursion, so
    that a chain of 100,000 is as good as any.
    """
    return [_way_round(members, after) for members in _knots(after)]


def _knots(after: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Give the sets of tasks that reach each other. Source: R. Tarjan, Depth-first search and linear graph algorithms."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in after:
        if root in numbers:
            continue
        way = [(root, iter(_known(root, after)))]
        numbers[root] = lowest[root] = len(numbers)
        stack.append(root)
        on_stack.add(root)
        while way:
            task, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                if way:
                    lowest[way[-1][0]] = min(lowest[way[-1][0]], lowest[task])
                if lowest[task] == numbers[task]:
                    members = _taken(stack, on_stack, task)
                    if len(members) > 1 or task in after[task]:
                        found.append(sorted(members, key=numbers.__getitem__))
            elif following not in numbers:
                numbers[following] = lowest[following] = len(numbers)
                stack.append(following)
                on_stack.add(following)
                way.append((following, iter(_known(following, after))))
            elif following in on_stack:
                lowest[task] = min(lowest[task], numbers[following])
    return sorted(found, key=lambda members: numbers[members[0]])


def _known(task: str, after: Mapping[str, Iterable[str]]) -> Sequence[str]:
    return [name for name in after[task] if name in after]


def _taken(stack: list[str], on_stack: set[str], root: str) -> list[str]:
    members = []
    while True:
        task = stack.pop()
        on_stack.discard(task)
        members.append(task)
        if task == root:
            return members


def _way_round(members: Sequence[str], after: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the shortest way from the first member back to it."""
    first, inside = members[0], set(members)
    came_from: dict[str, str] = {}
    front = [first]
    while True:  # members of a set reach each other
        following: list[str] = []
        for task in front:
            for name in after[task]:
                if name == first:
                    way = [task]
                    while way[-1] != first:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if name in inside and name not in came_from:
                    came_from[name] = task
                    following.append(name)
        front = following
