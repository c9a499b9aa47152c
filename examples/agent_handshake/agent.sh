#!/bin/sh
# An agent: any program. It is given $FILES to review, and $CALLBACK, below which it reports; it needs curl and nothing of
# Interlock. Its first life ends in the middle, as agents' lives do.
set -eu
post() { curl --silent --show-error --fail --retry 5 --retry-connrefused -X POST "$CALLBACK/$1" -d "$2"; echo; }

read_so_far=0
for file in $FILES; do
  read_so_far=$((read_so_far + 1))
  post progress "{\"message\": \"reading $file\"}"
  post heartbeat "{\"details\": {\"pid\": $$, \"read\": $read_so_far}}"
  if [ "$LIFE" = 1 ] && [ "$read_so_far" = 2 ]; then
    kill -9 $$
  fi
done
post complete "{\"result\": {\"approved\": true, \"comments\": $read_so_far}}"
