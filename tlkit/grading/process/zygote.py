"""The process that workers are forked from: everything slow to import is imported, no secret is known.

It runs no student's code. It is started with a clean environment, receives pairs of sockets, and forks
a keeper for each pair; a job itself goes past it, from the grader to the worker.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any


def main(descriptor: int) -> None:
    """Import, say so, then fork a keeper for every pair of sockets until the grader is gone."""
    os.nice(1)  # the grader itself goes on being answered
    control = socket.socket(fileno=descriptor)
    settings = json.loads(_line(control))
    shell = _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    gc.collect()
    gc.freeze()
    control.sendall(b"!")
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 1, 2)
        if not message:
            os._exit(0)  # libraries complain when Python takes them down in order
        if os.fork() == 0:
            control.close()
            _keep(descriptors, settings, shell)
        for one in descriptors:
            os.close(one)


def _line(control: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        data += control.recv(1 << 16)
    return data


def _warm_up() -> Any:
    """Import what submissions use, and do once what they do: PyTorch's first optimizer step imports much."""
    import matplotlib

    matplotlib.use("module://matplotlib_inline.backend_inline")
    import matplotlib.pyplot
    import torch
    import torchvision  # noqa: F401

    import tlkit.backbones
    import tlkit.data
    import tlkit.features
    import tlkit.plots
    import tlkit.training
    import tlkit.widgets
    from tlkit.grading.process import shell, worker  # noqa: F401  # worker: its forks find it imported

    for module in (tlkit, tlkit.widgets):  # a name of theirs is imported when it is first asked for
        for name in module.__all__:
            getattr(module, name)
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    model, digits = tlkit.backbones.load_backbone(), tlkit.data.digits_split()[0].subset(slice(16))
    features = tlkit.features.extract(model.body, digits)  # each first use costs a worker time
    tlkit.features.linear_probe(features, digits.labels, 10)
    tlkit.training.fit(model, digits, epochs=1, progress=False)
    return shell.make_shell()


def _keep(descriptors: list[int], settings: dict[str, Any], shell: Any) -> None:
    from tlkit.grading.isolation.limits import Limits
    from tlkit.grading.process.keeper import keep

    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel, leash = (socket.socket(fileno=one) for one in descriptors)
        hidden = [Path(path) for path in settings["hidden"]]
        keep(channel, leash, shell, settings["level"], hidden, Limits(**settings["limits"]))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
