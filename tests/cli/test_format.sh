# The written formats are the true ones: a reader that was made from FORMAT.md alone finds in a store what was put there.
source "$(dirname "$0")/cli.sh"
need_mount
here=$(dirname "$0")
if ! python3 -c 'import sqlite3, cryptography' 2>/dev/null; then
    echo "skipped: python3 with the package \`cryptography\` is missing"
    exit 77
fi
read_store() { # PATH OUT
    local key_file
    key_file=$(ls "$XDG_CONFIG_HOME"/cytofs/keys/*.key)
    CYTOFS_PASSPHRASE=${passphrase-} python3 "$here/read_store.py" "$work/store" "$key_file" "$1" "$2"
}

mkdir -p "$work/plain/a folder/empty"
head -c 1000000 /dev/urandom >"$work/plain/many chunks"
head -c 131072 /dev/urandom >"$work/plain/one whole chunk"
truncate -s 700000 "$work/plain/holes"
printf 'in the middle' | dd of="$work/plain/holes" bs=1 seek=300000 conv=notrunc status=none
: >"$work/plain/nothing"
printf 'cells\n' >"$work/plain/a folder/Zellkerne-äöü.txt"
ln -s "../many chunks" "$work/plain/a folder/a link"

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab
check "files" cp -r --sparse=always "$work/plain" "$lab/datasets/cells"
check "an attribute" python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.stain", b"DAPI")' "$lab/datasets/cells/nothing"
check "a snapshot" mkdir "$lab/datasets/cells/.snap/v1"
printf 'other text\n' >"$lab/datasets/cells/a folder/Zellkerne-äöü.txt"
check "unmount" unmount_lab

check "the second reader opens the store" expect_status 0 read_store datasets/cells/.snap/v1 "$work/snapshot"
check "a snapshot holds what was put there" diff -r --no-dereference "$work/plain" "$work/snapshot"
check "and the attribute" grep -qx 'nothing user.stain=DAPI' "$work/out"
check "the dataset" expect_status 0 read_store datasets/cells "$work/now"
check "holds what was changed since" grep -qx 'other text' "$work/now/a folder/Zellkerne-äöü.txt"
check "and what was not" cmp "$work/plain/many chunks" "$work/now/many chunks"

# Without the key, or with a byte changed, it opens nothing.
sed -i 's/^secret ..../secret 0123/' "$XDG_CONFIG_HOME"/cytofs/keys/*.key
check "another key opens nothing" expect_status 1 read_store datasets/cells "$work/nothing"
check "since it is not whom the keys were wrapped for" grep -q InvalidTag "$work/err"
