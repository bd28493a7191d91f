# Somebody who can read, change, swap and put back any byte of a store gets errors out of it, and never wrong bytes.
# $CYTOFS_HOSTILE_ROUNDS: how many seeded mutations (default 25).
source "$(dirname "$0")/cli.sh"
need_mount

check "init" expect_status 0 "$cytofs" init -k "$work/key" "$work/store"
export CYTOFS_KEY=$work/key
check "mount" mount_lab --no-node
cells=$lab/datasets/cells
mkdir -p "$cells/above/below" "$lab/datasets/other" "$lab/experiments/notes"
head -c 300000 /dev/urandom >"$cells/above/noise"
head -c 300000 /dev/urandom >"$cells/above/more"
head -c 5000 /dev/urandom >"$lab/datasets/other/small"
echo first >"$cells/note"
echo kept >"$lab/experiments/notes/text"
ln -s noise "$cells/above/link"
ln -s more "$cells/above/other-link"
ln "$cells/note" "$cells/above/twin"
setfattr -n user.stain -v DAPI "$cells/note"
setfattr -n user.lens -v 40x "$cells/note"
mkdir "$cells/.snap/v1"
check "unmount" unmount_lab
cp -r "$work/store" "$work/older"

check "mount again" mount_lab --no-node
echo second >"$cells/note"
head -c 200000 /dev/urandom >"$cells/above/noise"
setfattr -n user.stain -v H+E "$cells/note"
mv "$cells/above/link" "$cells/above/below/link"
rm "$cells/above/more"
echo new >"$cells/new"
check "unmount again" unmount_lab

check "every edit is refused, noticed or without effect" python3 "$(dirname "$0")/hostile.py" \
    "$work/store" "$work/older" "$work/key" "$CYTOFS_READ_LAB" "$CYTOFS_SUM_PAGES" "$work" "${CYTOFS_HOSTILE_ROUNDS:-25}"
grep cases "$work/out" || true
