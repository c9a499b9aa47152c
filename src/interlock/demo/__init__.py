"""The sample workflow `repository-report`: a definition, the Python functions it calls, and the report they write.

Written as a user would write it: `report` holds the steps, each a plain function of JSON in and JSON out. Nothing else
in Interlock imports this package.
"""
