"""Documents that were changed at random: one to three of seven changes each, reproducible by seed."""

import copy
import random
from collections.abc import Iterator

_VALUES = [
    None, True, False, 0, 1, 3.0, 2.5, -1, 70000, "", "x", "${ .x }", "${ a\nb }", " ${x} ", "PT5S", "P", "P1D\n", "5m",
    "http://x/{a}", "a b", "${x", "end", "1.0.0", "asyncapi", "http", "mcp", "eventually", {}, [], {"a": 1}, [1], [{}],
    ["x"], {"use": "x"}, {"use": ""}, {"basic": {"username": "a", "password": "b"}}, {"bearer": {"token": "x"}},
    {"seconds": 3}, {"seconds": 3.0}, {"after": "PT1S"}, {"constant": {}}, {"document": 1}, {"any": []},
    {"all": [], "until": "x"}, {"any": [], "until": "x"}, {"with": {"type": "a"}}, {"one": {"with": {"type": "a"}}},
    {"code": "x", "language": "js"}, [{"a": {"set": {"x": 1}}}], [{"a": {"do": []}}], {"type": "a", "status": 400},
]  # fmt: skip


class Mutator:
    """Makes mutants of `bases`. `names` are keys to rename to and to add, beside those that the bases have."""

    def __init__(self, bases, seed, names=()):
        self._random = random.Random(seed)
        self._bases = bases
        values = [(path, value) for base in bases for path, value in _places(base)]
        self._pool = [value for _, value in values]
        keys = {path[-1] for path, _ in values if path and isinstance(path[-1], str)}
        self._names = sorted(keys | set(names))

    def mutant(self):
        """Give a changed copy of one of the bases."""
        document = copy.deepcopy(self._random.choice(self._bases))
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            paths = [path for path, _ in _places(document) if path]
            if paths:
                self._change(document, paths)
        return document

    def _change(self, document, paths):
        choose = self._random.choice
        path = choose(paths)
        parent, key = _at(document, path[:-1]), path[-1]
        value = parent[key]
        match self._random.randrange(9):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[choose(self._names)] = parent.pop(key)
            case 2:
                parent[key] = copy.deepcopy(choose(_VALUES))
            case 3:
                parent[key] = copy.deepcopy(choose(self._pool))
            case 4 if isinstance(value, dict):
                value[choose(self._names)] = copy.deepcopy(choose(_VALUES + self._pool))
            case 5 if isinstance(value, list):
                value.append(copy.deepcopy(choose(value or _VALUES)))
            case 6:
                parent[key] = {choose(self._names): value}
            case 7:
                parent[key] = [value]
            case _:
                self._move(document, path, choose(paths), value)

    def _move(self, document, path, target, value):
        if target[: len(path)] != path and path[: len(target)] != target:
            _at(document, target[:-1])[target[-1]] = copy.deepcopy(value)


def _places(value, path=()) -> Iterator:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _at(document, path):
    for key in path:
        document = document[key]
    return document
