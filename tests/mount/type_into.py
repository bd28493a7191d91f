"""Runs a program on a terminal of its own and types into it: type_into.py PROGRAM FILE KEYS...

Each KEYS may hold escapes such as \\x0f.  It is typed when the program has been quiet for a moment."""
import os
import pty
import select
import sys

QUIET_S = 0.3
END_S = 10


def drain(terminal, quiet_s):
    """Reads what the program shows until it is quiet; False when it has ended."""
    while select.select([terminal], [], [], quiet_s)[0]:
        try:
            if not os.read(terminal, 65536):
                return False
        except OSError:  # the other end is closed
            return False
    return True


program, path, keys = sys.argv[1], sys.argv[2], sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(program, [program, path])
for typed in keys:
    drain(terminal, QUIET_S)
    os.write(terminal, typed.encode().decode("unicode_escape").encode())
while drain(terminal, END_S):
    sys.exit("%s did not end" % program)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
