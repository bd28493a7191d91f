# Programs on a workstation while its server is away: who is killed is gone at once, who was told to wait only so long gets the errno that was asked for,
# and what is open (also what was removed meanwhile) is there again when the server was stopped and started anew.
source "$(dirname "$0")/cli.sh"
need_mount
here=$(dirname "$0")
port=$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../support python3 -c 'import remote_lab; print(remote_lab.free_port())')
host=localhost:$port
at=$work/bob/at # not in $work itself: what looks for logs there must not wait for a server
bob() {
    env HOME="$work/bob" XDG_CONFIG_HOME="$work/bob/.config" XDG_STATE_HOME="$work/bob/.state" XDG_CACHE_HOME="$work/bob/.cache" "$@"
}
serve() { "$cytofs" serve "$work/store" --listen "127.0.0.1:$port" --no-node --host "$host"; }
server() { grep -o '[0-9]*' "$work/store/lock"; }
is_stopped() { ! pgrep -f "$cytofs serve $work/store" >/dev/null; }
end_server() { kill "-$1" "$(server)" && wait_for 60 is_stopped; } # SIGNAL
mount_bob() { # FOLDER OPTION...
    local folder=$1
    shift
    bob timeout 120 "$cytofs" mount --no-cache "$@" "bob@$host" "$folder" >/dev/null
}
leave() { fusermount3 -u "$1"; }
mkdir -p "$work/bob" "$at/short" "$at/kind" "$at/patient" "$at/other"

# errno_of WANTED python-expression: what it fails with
errno_of() {
    python3 - "$1" "$2" <<'END'
import errno, os, sys
try:
    eval(sys.argv[2])
    got = "success"
except OSError as error:
    got = errno.errorcode[error.errno]
if got != sys.argv[1]:
    sys.exit(f"{got}, not {sys.argv[1]}")
END
}

# in_background FILE python-lines: FILE appears when they have come to `ready()`
in_background() {
    python3 -c "import os, sys
def ready():
    open(sys.argv[1], 'w').close()
$2" "$1" &
    waiter=$!
}
is_gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

check "an errno without a time makes no sense" expect_status 2 "$cytofs" mount --timeout-error EIO bob@nowhere "$lab"
check "as it says" grep -q 'give both' "$work/err"
check "an errno that programs do not know is refused" expect_status 2 "$cytofs" mount --timeout 1 --timeout-error ECAKE bob@nowhere "$lab"
check "and the others are named" grep -q 'ETIMEDOUT, EIO, EAGAIN, EHOSTDOWN or ENOTCONN, not "ECAKE"' "$work/err"

check "ada makes a lab" expect_status 0 "$cytofs" init --member ada "$work/store"
check "she mounts it" expect_status 0 "$cytofs" mount --no-node "$work/store" "$lab"
check "serving it is refused" expect_status 1 serve
check "and says what is in the way" grep -q "is in use by process $(server): if that has mounted it, unmount it first" "$work/err"
check "she leaves" unmount_lab
check "the server starts" serve
check "ada invites bob" expect_status 0 "$cytofs" member add "$work/store" bob --role scientist --host "$host"
read -ra words <"$work/out"
check "bob joins" expect_status 0 bob "$cytofs" "${words[@]:1}"
check "bob mounts, and will wait a second" mount_bob "$at/short" --timeout 1
check "and again, with an errno that he chose" mount_bob "$at/kind" --timeout 1 --timeout-error EHOSTDOWN
check "and twice, to wait for ever" mount_bob "$at/patient"
check "at two places" mount_bob "$at/other"
check "he makes a folder" mkdir "$at/patient/datasets/cells"

# Mounted anew where a mount was left whose process has not ended yet
former=$(pgrep -f "bob@$host $at/other\$")
kill -STOP "$former"
check "bob leaves one of them" fusermount3 -uz "$at/other"
check "and mounts there again at once" mount_bob "$at/other"
kill -CONT "$former"
check "the former mount's process ends" wait_for 60 is_gone "$former"
check "and leaves the new mount alone" [ -d "$at/other/datasets/cells" ]

# Serving and mounting what is served
check "serving twice is refused" expect_status 1 serve
check "and says what shows it on this machine" grep -q "is served already, by process $(server): to see it on this machine: cytofs mount $work/store DIR" "$work/err"
check "which is so" expect_status 0 "$cytofs" mount "$work/store" "$lab"
check "while it is served" [ -d "$lab/datasets/cells" ]
check "and can be left" leave "$lab"

# Time-outs
check "the server goes away" end_server TERM
check "who waits too long is told so" errno_of ETIMEDOUT "os.mkdir('$at/short/datasets/cells/late')"
check "or what was asked for" errno_of EHOSTDOWN "os.mkdir('$at/kind/datasets/cells/late too')"

# Killed while they wait
in_background "$work/asks" "ready()
os.mkdir('$at/patient/datasets/cells/once')"
check "somebody asks for a folder" wait_for 60 test -e "$work/asks"
kill -KILL $waiter
check "killed, he is gone, although the server is away" wait_for 60 is_gone $waiter
in_background "$work/opens" "import signal
signal.signal(signal.SIGINT, signal.SIG_DFL) # a shell has what it starts in the background ignore it
ready()
os.open('$at/patient/datasets/cells/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)"
check "somebody opens a file" wait_for 60 test -e "$work/opens"
kill -INT $waiter
check "Ctrl-C ends that, too" wait_for 60 is_gone $waiter
check "the server comes back" serve
check "whoever waits for ever goes on" errno_of success "os.listdir('$at/patient/datasets/cells')"

# Closed by the kernel, since the process is dead
in_background "$work/locks" "import fcntl, time
file = os.open('$at/patient/datasets/cells/locked', os.O_RDWR | os.O_CREAT)
fcntl.lockf(file, fcntl.LOCK_EX)
os.write(file, b'written under a lock')
ready()
time.sleep(600)"
check "somebody writes under a lock" wait_for 60 test -e "$work/locks"
check "the server goes away" end_server TERM
kill -KILL $waiter
check "killed, he is gone, with a file to close" wait_for 60 is_gone $waiter
check "the server comes back" serve
check "the lock has ended" errno_of success "__import__('fcntl').lockf(open('$at/patient/datasets/cells/locked', 'r+'), 2)"
check "what he wrote is there" grep -q 'written under a lock' "$at/patient/datasets/cells/locked"

# Removed while open
for name in read written; do head -c 3000000 /dev/urandom >"$work/$name" && cp "$work/$name" "$at/other/datasets/cells/$name"; done
check "what was copied is at the server" sync -f "$at/other"
cat >"$work/removed.py" <<'END'
import os, sys, time
folder, other, originals, said, go_on = sys.argv[1:]
read = os.open(f"{folder}/read", os.O_RDONLY)
written = os.open(f"{folder}/written", os.O_RDWR)
fresh = os.open(f"{folder}/fresh", os.O_RDWR | os.O_CREAT | os.O_EXCL)
os.write(fresh, b"0123456789")
os.read(fresh, 1), os.lseek(fresh, 4, os.SEEK_SET)
os.unlink(f"{folder}/read")
os.unlink(f"{other}/written")
os.unlink(f"{folder}/fresh")
open(said, "w").close()
while not os.path.exists(go_on):
    time.sleep(0.05)
for file, name in ((read, "read"), (written, "written")):
    original = open(f"{originals}/{name}", "rb").read()
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(file, len(original), 0) == original, name
    assert os.fstat(file).st_nlink == 0, name
assert os.read(fresh, 100) == b"456789", "where it stood"
os.pwrite(written, b"still mine", 5)
os.fsync(written)
assert os.pread(written, 10, 5) == b"still mine"
for file in (read, written, fresh):
    os.close(file)
assert not {"read", "written", "fresh"} & set(os.listdir(folder))
END
python3 "$work/removed.py" "$at/patient/datasets/cells" "$at/other/datasets/cells" "$work" "$work/removed" "$work/go on" &
removed=$!
check "somebody removes files that he has open" wait_for 60 test -e "$work/removed"
check "the server goes away" end_server TERM
check "and comes back" serve
touch "$work/go on"
check "he goes on with them" wait $removed

for folder in short kind patient other; do check "bob leaves $folder" leave "$at/$folder"; done
check "the server ends" end_server TERM
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
