-- Nothing to do: there is one writer.
SELECT :namespace, :keys
