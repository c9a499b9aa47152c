"""What runs inside a pool: one supervisor per attempt. Light, and apart: it knows no store and no engine.

`supervisor` is started by its file name with `python -S -E`, so that it is ready in milliseconds; it imports the standard
library only. `call` is the warm variant for Python functions, with the environment's packages.
"""
