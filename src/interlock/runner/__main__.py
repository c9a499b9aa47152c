"""`python -m interlock.runner`: supervise one attempt; the job comes on standard input."""

from interlock.runner.supervisor import main

main()
