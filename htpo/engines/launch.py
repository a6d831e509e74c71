"""Noticing a launcher that was asked for several processes and silently started one."""

import re

import psutil

_ASKED = re.compile(r"--(?:num[-_]processes|nproc[-_]per[-_]node)[= ](\d+)")


def silently_single(world_size: int) -> str | None:
    """A sentence for the user when a parent process was asked for more processes than the one that runs, else None."""
    if world_size > 1:
        return None
    for parent in psutil.Process().parents():
        try:
            command = " ".join(parent.cmdline())
        except psutil.Error:
            continue
        asked = _ASKED.search(command)
        if asked and int(asked[1]) > 1 and re.search(r"accelerate|torchrun|torch\.distributed", command):
            return (
                f"the launcher was asked for {asked[1]} processes but started one (accelerate does that with --cpu): "
                f"training runs in a single process. Use: torchrun --standalone --nproc_per_node {asked[1]} -m htpo ..."
            )
    return None
