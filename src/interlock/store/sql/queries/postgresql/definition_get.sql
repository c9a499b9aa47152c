SELECT digest, namespace, name, version, source FROM definitions WHERE digest = :digest
