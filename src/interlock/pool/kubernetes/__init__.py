"""Attempts as Jobs of Kubernetes.

    settings    what `config:` of a pool may say, read and checked
    naming      names and labels, from which what was left behind is found again
    program     a target as the command of a container, and what of it a Secret carries
    manifest    a Launch as a Job and its Secret
    status      what the state of a Job and its pods means
    api         the one door to the API server (kr8s)
    watching    the state of all Jobs and pods of a pool, kept by one watch of each kind
    output      what a container prints, once, however often its log is read again
    attempt     the life of one attempt
    pool        the launcher

Everything up to `status` is pure. What spreads attempts over clusters, or makes clusters larger, does not belong here.
"""
