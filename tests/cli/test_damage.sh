# A catalog that somebody edited: fsck and a mount say what is wrong, whatever it holds, and neither crash nor hang.
source "$(dirname "$0")/cli.sh"
need_mount

edit_catalog() { # STORE SQL
    python3 - "$1/catalog.db" "$2" <<'PYTHON'
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("PRAGMA ignore_check_constraints = ON")
catalog.executescript(sys.argv[2])
PYTHON
    "$CYTOFS_SUM_PAGES" "$1/catalog.db" # as somebody would who means harm
}
# refused WHAT SQL PATTERN: a copy of the store, edited, is refused by fsck with words that match
refused() {
    rm -rf "$work/edited"
    cp -r "$work/store" "$work/edited"
    edit_catalog "$work/edited" "$2"
    check "$1" expect_status 1 timeout 60 "$cytofs" fsck "$work/edited"
    check "  is told" grep -Eq "$3" "$work/out" "$work/err"
}

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
mkdir -p "$lab/datasets/cells/above/below"
head -c 300000 /dev/urandom >"$lab/datasets/cells/above/noise"
ln -s noise "$lab/datasets/cells/above/link"
above=$(stat -c %i "$lab/datasets/cells/above")
below=$(stat -c %i "$lab/datasets/cells/above/below")
noise=$(stat -c %i "$lab/datasets/cells/above/noise")
check "unmount" unmount_lab
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"

refused "a format below all" "PRAGMA user_version = -7" "damaged: format -7"
refused "a newer format" "PRAGMA user_version = 99" "use a newer cytofs"
refused "a folder that holds itself" \
    "DELETE FROM names WHERE inode = $above; UPDATE names SET inode = $above WHERE inode = $below" "cannot be reached"
refused "a name that is too long" "UPDATE names SET name = zeroblob(5000) WHERE inode = $noise" "5000 bytes"
refused "a name cut short" "UPDATE names SET name = x'00' WHERE inode = $noise" "has 1 bytes"
refused "a part at a place without end" "UPDATE chunks SET idx = 1 << 47 WHERE idx = 1" "reaches beyond"
refused "a part longer than any" "UPDATE chunks SET bytes = 4294967295 WHERE idx = 1" "reaches beyond"
refused "a part of no pack" "UPDATE chunks SET pack = -1 WHERE idx = 1" "impossible values"
refused "a part from elsewhere in the file" "UPDATE chunks SET offset = (SELECT offset FROM chunks WHERE idx = 0),
    nonce = (SELECT nonce FROM chunks WHERE idx = 0) WHERE idx = 1" "the parts of this file.*not what was written"
refused "another origin" "UPDATE inodes SET origin = 1 WHERE inode = $noise" "inode $noise is not as it was written"
refused "a size below zero" "UPDATE inodes SET size = -1 WHERE inode = $noise" "impossible values"
refused "an unknown kind" "UPDATE inodes SET kind = 77 WHERE inode = $noise" "impossible values"
refused "a space that is not there" "UPDATE inodes SET space = 12345 WHERE inode = $noise" "12345"
refused "the key of another space" "UPDATE wraps SET wrapped = (SELECT wrapped FROM wraps WHERE space = 2) WHERE space = 1" \
    "not wrapped for this member"
refused "a wrapped key cut short" "UPDATE wraps SET wrapped = x'01' WHERE space = 1" "wrapped key is damaged"
refused "no counters" "DELETE FROM numbers" "counters are lost"

rm -rf "$work/store"
cp -r "$work/edited" "$work/store"
check "such a store is not mounted" expect_status 1 "$cytofs" mount "$work/store" "$lab"
