# SPDX-License-Identifier: GPL-2.0-or-later
"""A program with a QMP monitor on its standard input and output, asked what it
tells of itself."""

import os
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
import libtern                                                   # noqa: E402

PATIENCE = 30 * int(os.environ.get("TERN_TEST_PATIENCE", "1"))


class Died(Exception):
    pass


class Qmp(libtern.Program):
    """ask() gives the whole answer, get() what it returned."""

    def __init__(self, argv, **popen):
        popen.setdefault("stderr", subprocess.DEVNULL)
        super().__init__(argv, PATIENCE, **popen)

    def read(self):
        try:
            return super().read()
        except (libtern.Gone, socket.timeout) as e:
            self.kill()
            raise Died("no answer") from e

    def get(self, command, **args):
        return self.ask(command, **args).get("return")
