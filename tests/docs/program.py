"""Executes the Python blocks of a page, one after the other, in one module: started by `test_python` in the page's folder.

Reads `{"page", "line", "text"}` a line, and answers each by `{"printed", "error"}`. The loop turns all the time, so that what
one block leaves open lives on in the next. A block without `await` runs in a thread, where no loop is seen, as in a script.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import sys
import traceback
import types
from typing import Any


async def executed(module: types.ModuleType, block: dict[str, Any]) -> dict[str, str]:
    """Execute one block; its lines have the numbers that they have in the page."""
    printed, error = io.StringIO(), ""
    text = "\n" * (block["line"] - 1) + block["text"]
    try:
        code = compile(text, block["page"], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        with contextlib.redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                await eval(code, module.__dict__)
            else:
                await asyncio.to_thread(exec, code, module.__dict__)
    except BaseException:  # noqa: BLE001 (whatever a page raises is told to its test)
        error = traceback.format_exc()
    return {"printed": printed.getvalue(), "error": error}


async def main(answers: io.TextIOBase) -> None:
    module = types.ModuleType("page")
    module.__file__ = "page.py"
    sys.modules["page"] = module
    sys.path.insert(0, os.getcwd())
    while line := await asyncio.to_thread(sys.stdin.readline):
        answers.write(json.dumps(await executed(module, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)  # what a subprocess of a page writes is no answer
        asyncio.run(main(channel))
