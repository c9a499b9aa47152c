"""The workflow engine: a pure core in a thin shell.

Pure: `state` (what a run is), `fold` (what an event does to it), `steps` and `decide` (which events follow from a cause).
Shell: `advance` (load, decide, commit, then act), `recovery` (find runs whose node died), `node` (the services together).
No SQL, no HTTP and no process is known here; what leaves the node goes through ports and performers that are passed in.
"""
