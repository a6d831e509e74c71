"""Running untrusted Python: a fork server inside the strongest isolation the machine offers, one process a run.

`cells` is the outside: it starts the fork server, hands it work and reads results. Everything else runs inside:
`zygote` is the fork server, `namespaces`, `landlock` and `system_calls` are what confines it, `roles` is what a process
does, `plain_data` how values cross from one process to another.
"""
