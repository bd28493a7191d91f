# A damaged store is repaired by the program: what needs to be accepted is asked for, what was before is kept, and what could be
# read can be read.
source "$(dirname "$0")/cli.sh"
need_mount

edit_catalog() {
    python3 - "$work/store/catalog.db" "$1" <<'PYTHON'
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("PRAGMA ignore_check_constraints = ON")
catalog.executescript(sys.argv[2])
catalog.execute("PRAGMA journal_mode = DELETE")
PYTHON
    "$(dirname "$cytofs")/../tests/support/sum_pages" "$work/store/catalog.db"
}
said() { grep -Eq "$1" "$work/out"; }

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
mkdir -p "$lab/datasets/cells/above"
for i in 1 2 3 4; do head -c 300000 /dev/urandom >"$lab/datasets/cells/above/image-$i"; done
mkdir "$lab/datasets/cells/.snap/v1"
cp -r "$lab/datasets" "$work/then"
image=$(stat -c %i "$lab/datasets/cells/above/image-1")
check "unmount" unmount_lab

check "a whole store is left alone" expect_status 0 "$cytofs" fsck --repair "$work/store"
check "  it says so" said "nothing was changed"
check "  nothing lies around" [ "$(ls "$work/store" | grep -c before-repair)" = 0 ]
check "--accept alone is wrong usage" expect_status 2 "$cytofs" fsck --accept "$work/store"

edit_catalog "DELETE FROM names WHERE inode = $image; UPDATE packs SET live_chunks = 1"
check "damage is found" expect_status 1 "$cytofs" fsck "$work/store"
check "and not believed by itself" expect_status 1 "$cytofs" fsck --repair "$work/store"
check "  it says what can be done" said "fsck --repair --accept"
check "  nothing was changed" expect_status 1 "$cytofs" fsck "$work/store"
check "accepted, it is repaired" expect_status 0 "$cytofs" fsck --repair --accept "$work/store"
check "  it says what was done" said "1 files and folders without a name put into lab/lost\+found"
check "  the catalog of before is kept" [ -s "$(sed -n 's/.*is kept as //p' "$work/out")" ]
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
check "mount" mount_lab --no-node
check "the file without a name is found again" cmp "$work/then/cells/above/image-1" "$lab/lab/lost+found/$image"
check "it can be put back" mv "$lab/lab/lost+found/$image" "$lab/datasets/cells/above/image-1"
check "all is as it was" diff -r "$work/then" "$lab/datasets"
check "unmount" unmount_lab

python3 - "$work/store/packs/00000001.pack" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as pack:
    pack.seek(5000)
    pack.write(b"rot")
PYTHON
check "rot is found" expect_status 1 "$cytofs" fsck "$work/store"
check "nothing needs to be accepted for it" expect_status 0 "$cytofs" fsck --repair "$work/store"
check "  what is lost is noted" said "lost parts of files noted"
check "it is no news to the next check" expect_status 0 "$cytofs" fsck "$work/store"
check "  which tells it" said "parts of files are lost"
check "mount" mount_lab --no-node
check "reading it is an error, no zeros" sh -c "! cat '$lab'/datasets/cells/above/image-* >/dev/null 2>&1"
check "everything else can be read" [ "$(cat "$lab"/datasets/cells/above/image-{1,2,3,4} 2>/dev/null | wc -c)" -ge 900000 ]
check "unmount" unmount_lab
