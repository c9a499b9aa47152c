"""Attempts as containers of Docker, or of another engine that speaks its API (Podman).

    settings   what a pool of the type `docker` may be told, read and checked
    plan       a launch as the request for its container: pure
    engine     the door to the engine (aiodocker, the extra `docker`)
    attempt    one container, from its making to its end
    ending     what the end of a container means: pure
    pool       the launcher; adopting, sweeping, health

What belongs to no container, such as which attempt goes to which pool, is not here. A container has a name that follows
from its attempt, so one attempt never has two, and labels by which those that were left behind are found again. The engine
removes none by itself: it keeps how one ended until the store knows it.
"""
