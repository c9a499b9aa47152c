"""What a node and the supervisor of an attempt say to each other, over one socket: the supervisor's standard input and
output, or the one that an adopting node connected.

Told to stand `APART` by an argument, the supervisor is no child of the node: it says its pid first, a line of digits.

Node to supervisor: JSON texts, one per line. First the job:

    argv                  what to execute, the program as an absolute path; for a function: its name and the file, in the
                          spool, with its arguments
    environment           all of it, text to text
    folder                where to start it
    spool                 a folder that the supervisor makes, for `stdout`, `stderr` and `outcome.json`
    files                 file name to text, written into the spool first
    stdin                 text for standard input, null for none
    timeout_seconds       null for none
    orphan_grace_seconds  how long the attempt may go on when the node is gone
    spool_bytes           how much of each stream is kept in the spool
    limits                limits of its processes by name (`runner.limits`): bytes, seconds or numbers; may be missing
    nice                  how far it stands back for others, 0 to 19; may be missing

Then `{"cancel": true}` asks it to end. The end of the input means that the node is gone.

With a grace the supervisor listens on a Unix socket in its spool, from the beginning: who may write there may take it
over. A node that connects and says `{"adopt": true}` is its node from then on, and the one before, which may only have been
stopped for a while, finds its connection closed while the process lives. The new one hears everything from the beginning:
the pid, all output that the spool kept, the report.

Supervisor to node: frames, a byte for the kind, four for the length (big-endian), the payload. Kinds: output of the two
streams as it comes; the pid of the command; last the report, a JSON object, the same as in `outcome.json`:

    ended_by       exit, timeout, cancel, orphan, or not-launched
    code, signal   how the command ended; null when it did not by itself
    reason         why it was not launched: no-such-folder, invalid, or the name of an errno; else null
    detail         what the system said
    out_of_memory  the kernel killed something in the memory group meanwhile

No imports: supervisors start in milliseconds.
"""

from __future__ import annotations

STDOUT = b"o"
STDERR = b"e"
STARTED = b"p"
REPORT = b"r"

APART = "apart"

HEADER_BYTES = 5
SOCKET_FILE = "socket"
"""In the spool: where an orphan hears who adopts it."""
OUTCOME_FILE = "outcome.json"
RESULT_FILE = "result.json"
"""In the spool: what a Python function gave, as an outcome."""
OUTCOME_MARK = b"\x1einterlock:"
"""In a container's log, before a word that only the attempt knows; the rest of the line is a function's outcome."""


def frame(kind: bytes, payload: bytes) -> bytes:
    """Give the bytes of a frame."""
    return kind + len(payload).to_bytes(4, "big") + payload


def header(data: bytes) -> tuple[bytes, int]:
    """Give kind and payload length of a frame from its first HEADER_BYTES."""
    return data[:1], int.from_bytes(data[1:], "big")
