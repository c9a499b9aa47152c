"""The one door to HTTP out: which addresses may be reached, names looked up once, sizes and times bounded.

Everything that Interlock fetches or calls on behalf of a definition goes through `client.Client`. What a request means
to a workflow (failures, output formats) belongs to `effects`; nothing here knows runs or steps.
"""
