SELECT digest, namespace, name, version, source, resources FROM definitions WHERE digest = :digest
