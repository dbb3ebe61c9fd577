"""Ports for the servers of the tests: what tests/clients and tests/faults share."""

import random
import socket


def free_ports(count: int) -> list[int]:
    """Below those that the system gives to outgoing connections: one of these could take it before the server does."""

    def is_free(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    # Of its own seed: two harnesses with the same one may run side by side.
    candidates = random.SystemRandom().sample(range(10_000, 32_000), 50 + count)
    return [port for port in candidates if is_free(port)][:count]
