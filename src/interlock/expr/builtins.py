"""Every function of jq that may be called, judged once: what it costs and how it runs its arguments.

A function that is not in `BUILTINS` cannot be called. Costs speak of the size of the function's input and arguments:

- FLAT: the same work for any input;
- LINEAR: at most one pass over the input (comparing two values counts as one unit: it ends at the first difference);
- QUADRATIC: copies what it has gathered, or compares, once per element;
- UNBOUNDED: the size of the data does not limit it (`range`, `recurse`, `pow`), or a regular expression may take
  exponential time.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

Function: TypeAlias = tuple[str, int]
"""Name and number of arguments."""


class Cost(IntEnum):
    """How the work of a function or program grows with its data; the number is the degree."""

    FLAT = 0
    LINEAR = 1
    QUADRATIC = 2
    UNBOUNDED = 3


class Runs(IntEnum):
    """On what a function runs its arguments."""

    ON_INPUT = 0
    """On the input; the function combines each result with the input."""
    THROUGH = 1
    """On the input; the function passes on results of the last one, the others are small parameters."""
    ON_EACH = 2
    """On each element of the input."""
    CHAINED = 3
    """The first on the input, the second on each result of the first."""


class Builtin(msgspec.Struct, frozen=True):
    """A judged function.

    `gives_scalar`: its results have the same small size whatever the data. `gives_one`: at most one result, however
    many its arguments give; without it there may be one per combination of argument values. `is_filter`: it gives its
    input or nothing.
    """

    cost: Cost
    runs: Runs = Runs.ON_INPUT
    gives_scalar: bool = False
    gives_one: bool = False
    is_filter: bool = False


_FLAT_SCALAR: Final = (
    "not/0 type/0 length/0 has/1 in/1 empty/0 error/0 abs/0 toboolean/0 infinite/0 nan/0 "
    "isinfinite/0 isnan/0 isnormal/0 have_decnum/0 have_literal_numbers/0 builtins/0 ascii/0 gmtime/0 mktime/0 date/0 "
    "todate/0 todateiso8601/0 fromdate/0 fromdateiso8601/0 floor/0 ceil/0 round/0 trunc/0 fabs/0 sqrt/0 exp/0 exp2/0 "
    "exp10/0 log/0 log2/0 log10/0 sin/0 cos/0 tan/0 asin/0 acos/0 atan/0 sinh/0 cosh/0 tanh/0 asinh/0 acosh/0 atanh/0 "
    "cbrt/0 significand/0 logb/0 gamma/0 lgamma/0 tgamma/0 nearbyint/0 atan2/2"
)
_FLAT: Final = "first/0 last/0 nth/1 toarray/0 getpath/1"
_THROUGH: Final = "limit/2 skip/2 path/1 error/1"
_THROUGH_ONE: Final = "first/1 last/1 nth/2"
_THROUGH_SCALAR: Final = "isvalid/1"
_THROUGH_SCALAR_ONE: Final = "isempty/1"
_FILTERS: Final = "select/1 values/0 nulls/0 booleans/0 numbers/0 strings/0 arrays/0 objects/0 iterables/0 scalars/0"
_LINEAR_SCALAR: Final = "utf8bytelength/0 tonumber/0 startswith/1 endswith/1 any/0 all/0 bsearch/1"
_LINEAR: Final = (
    "keys/0 keys_unsorted/0 tostring/0 tojson/0 fromjson/0 explode/0 implode/0 ascii_downcase/0 ascii_upcase/0 "
    "ltrimstr/1 rtrimstr/1 trimstr/1 split/1 trim/0 ltrim/0 rtrim/0 reverse/0 flatten/0 flatten/1 min/0 max/0 "
    "to_entries/0 strftime/1 dateadd/2 datesub/2"
)
_LINEAR_ON_EACH: Final = "map/1 min_by/1 max_by/1"
_LINEAR_ON_EACH_SCALAR: Final = "any/1 all/1"
_CHAINED: Final = "any/2 all/2"
_QUADRATIC: Final = (
    "add/0 join/1 sort/0 unique/0 contains/1 inside/1 indices/1 index/1 rindex/1 from_entries/0 transpose/0 delpaths/1"
)
_QUADRATIC_THROUGH_ONE: Final = "add/1 del/1 IN/1 IN/2"
_QUADRATIC_ON_EACH: Final = "sort_by/1 group_by/1 unique_by/1 with_entries/1 map_values/1 GROUP_BY/1 UNIQUE_BY/1"
_UNBOUNDED: Final = (
    "range/1 range/2 range/3 repeat/1 while/2 until/2 recurse/0 recurse/1 recurse/2 walk/1 paths/0 paths/1 "
    "leaf_paths/0 combinations/0 combinations/1 tostream/0 fromstream/1 truncate_stream/1 "
    "pow/2 "  # exact integers: pow(10; 1e9) never ends
    "setpath/2 pick/1 "  # an index of ten million makes an array as long
    "test/1 test/2 match/1 match/2 capture/1 capture/2 scan/1 scan/2 split/2 splits/1 splits/2 sub/2 sub/3 gsub/2 "
    "gsub/3 strptime/1 "  # regular expressions
    "INDEX/1 INDEX/2 JOIN/2 JOIN/3 JOIN/4"
)


def _table(names: str, builtin: Builtin) -> dict[Function, Builtin]:
    pairs = (entry.split("/") for entry in names.split())
    return {(name, int(arity)): builtin for name, arity in pairs}


BUILTINS: Final[dict[Function, Builtin]] = {
    **_table(_FLAT_SCALAR, Builtin(Cost.FLAT, gives_scalar=True)),
    **_table(_FLAT, Builtin(Cost.FLAT)),
    **_table(_THROUGH, Builtin(Cost.FLAT, Runs.THROUGH)),
    **_table(_THROUGH_ONE, Builtin(Cost.FLAT, Runs.THROUGH, gives_one=True)),
    **_table(_THROUGH_SCALAR, Builtin(Cost.FLAT, Runs.THROUGH, gives_scalar=True)),
    **_table(_THROUGH_SCALAR_ONE, Builtin(Cost.FLAT, Runs.THROUGH, gives_scalar=True, gives_one=True)),
    **_table(_FILTERS, Builtin(Cost.FLAT, is_filter=True)),
    **_table(_LINEAR_SCALAR, Builtin(Cost.LINEAR, gives_scalar=True)),
    **_table(_LINEAR, Builtin(Cost.LINEAR)),
    **_table(_LINEAR_ON_EACH, Builtin(Cost.LINEAR, Runs.ON_EACH)),
    **_table(_LINEAR_ON_EACH_SCALAR, Builtin(Cost.LINEAR, Runs.ON_EACH, gives_scalar=True)),
    **_table(_CHAINED, Builtin(Cost.LINEAR, Runs.CHAINED, gives_scalar=True)),
    **_table(_QUADRATIC, Builtin(Cost.QUADRATIC)),
    **_table(_QUADRATIC_THROUGH_ONE, Builtin(Cost.QUADRATIC, Runs.THROUGH, gives_one=True)),
    **_table(_QUADRATIC_ON_EACH, Builtin(Cost.QUADRATIC, Runs.ON_EACH)),
    **_table(_UNBOUNDED, Builtin(Cost.UNBOUNDED)),
}

_COPYING: Final = (
    "all any ascii_downcase ascii_upcase contains del empty endswith error first from_entries getpath group_by has in "
    "inside isempty join keys keys_unsorted last length limit ltrimstr map map_values max max_by min min_by not nth "
    "path reverse rtrimstr select sort sort_by split startswith test to_entries tojson tostring trim type unique "
    "unique_by values with_entries arrays objects strings numbers booleans nulls iterables scalars"
)
COPYING: Final = frozenset(_COPYING.split())
"""Functions that make no numbers but counts, and no texts but of their input: their results need no second look."""

SHUT_OFF: Final[dict[str, str]] = {
    "env": "reads the environment",
    "now": "reads the clock; use $workflow.startedAt or $task.startedAt",
    "localtime": "reads the time zone; use gmtime",
    "strflocaltime": "reads the time zone; use strftime",
    "input": "reads further inputs",
    "inputs": "reads further inputs",
    "input_filename": "reads further inputs",
    "input_line_number": "reads further inputs",
    "halt": "ends the process; use error",
    "halt_error": "ends the process; use error",
    "debug": "writes to the terminal",
    "stderr": "writes to the terminal",
}
"""What makes a result depend on more than data and arguments, or acts on the process; and why."""

FORMATS: Final = frozenset({"text", "json", "html", "uri", "urid", "csv", "tsv", "sh", "base64", "base64d"})
"""The names behind `@`; each is linear in its input."""
