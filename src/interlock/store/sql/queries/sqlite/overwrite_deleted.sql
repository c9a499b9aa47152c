-- From now on this connection writes zeros over what it deletes: it may have been stored before payloads were sealed.
PRAGMA secure_delete = ON
