"""The meaning of a document: stage two of validation, what shapes cannot say.

`targets` follows where the flow goes, `references` what names stand for, `expressions` what is jq, `limits` how much is
allowed, `schemas` the JSON Schemas inside, `interlock` our own keys, `executable` what this version runs. Each looks at
the places that the first stage noted and adds problems; none changes anything, and each copes with documents that the
first stage refused, so that all problems are told at once.
"""
