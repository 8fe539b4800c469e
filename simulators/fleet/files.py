"""Room for open sockets: each connection is a file descriptor of the process."""

import resource

from simulators.fleet.plan import FleetError

# What a process has open besides: standard streams, the selector, libraries.
SPARE_FILES = 64


def make_room(connections: int) -> None:
    """Raise the soft limit of open files so that `connections` fit; it is left alone when they do.

    Raises:
        FleetError: the hard limit is too low; says what to do.
    """
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise FleetError(
                f"{connections} connections take {wanted} open files, and this process may open {hard} at most; raise "
                f"the hard limit (as root: ulimit -Hn {wanted}; in a systemd unit: LimitNOFILE={wanted}; in a "
                f"container: --ulimit nofile={wanted}), or run fewer gateways in several processes with --prefix"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
