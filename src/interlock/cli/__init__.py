"""The command line: what people type. Commands parse, call `app`, print; they decide nothing.

Progress and messages go to standard error, results to standard output, so that a command can stand in a pipe.
"""
