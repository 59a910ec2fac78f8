"""Entry point of a moto server that ends with its parent. Arguments: the host to listen on, and the parent's number.

Once it serves it writes its port to standard output, which it then closes; what moto says goes to standard error.
"""

import logging
import os
import signal
import sys

from ondol.aws.identity import DEFAULT_ACCOUNT
from ondol.linux.process import die_with_parent, set_name


def main() -> None:
    host, parent = sys.argv[1:]
    set_name("ondol-moto")
    die_with_parent(signal.SIGKILL)
    if os.getppid() != int(parent):
        return  # It went before we could ask to be told.
    # moto puts everything into one account: into the one that ondol takes a key of no account for.
    os.environ.setdefault("MOTO_ACCOUNT_ID", DEFAULT_ACCOUNT)

    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes a second, and reads its environment

    # A line for each request would fill the disk in the end.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(host, 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        print(port, file=told)
    signal.pause()


if __name__ == "__main__":
    main()
