"""How work that left this store reports back, and how its outcome reaches whoever gave it to us.

Here belongs what happens between a token and the store, whoever speaks for its holder: a person, an agent, a server. What a
report means to a run is decided in `engine`; how a token is made is in `secrets`.
"""
