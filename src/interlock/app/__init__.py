"""The composition root: opens a store, wires a node, and offers what people do with runs.

Only here do the engine, the dispatcher, the pools and the performers meet; none of them knows another.
"""
