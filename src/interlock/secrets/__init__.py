"""Secrets: where their values come from, how they are named in what is stored, and the store key that proves those names.

A secret's value is never stored. Expressions see it; what they give is stored with a marker in its place (`markers`,
`bound`), and markers become values again just before an effect starts (`revealed`). Nothing here knows steps or effects.
"""
