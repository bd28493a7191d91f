# A store of format 1, made by the last program that made such (store-1.tar.gz, with its member's key): it opens, is brought to
# format 2 by that, and holds what it held.
source "$(dirname "$0")/cli.sh"
need_mount

tar -xzf "$(dirname "$0")/store-1.tar.gz" -C "$work"
export CYTOFS_KEY=$work/ada.key
cells=$lab/datasets/cells

holds_what_it_held() {
    [ "$(cat "$cells/a.txt")" = "two cells" ] && [ "$(cat "$cells/twin")" = "two cells" ] &&
        [ "$(cat "$cells/.snap/first/a.txt")" = "one cell" ] && [ "$(readlink "$cells/link")" = a.txt ] &&
        [ "$(getfattr --only-values -n user.stain "$cells/a.txt")" = DAPI ] &&
        [ "$(stat -c %s "$cells/two-parts")" = 131084 ] && [ "$(head -c 5 "$cells/two-parts")" = start ] &&
        [ "$(tail -c 4 "$cells/two-parts")" = end ] && [ "$(cat "$lab/experiments/notes/text")" = kept ] &&
        [ "$(stat -c %s-%a "$lab/experiments/notes/text")" = 5-640 ] &&
        cmp "$lab/experiments/notes/sparse" <(head -c 300000 /dev/zero)
}

check "it is of format 1" grep -q "cytofs store 1" "$work/store/FORMAT"
check "mount" mount_lab --no-node
check "it holds what it held" holds_what_it_held
echo "three cells" >"$cells/new.txt"
cp "$cells/two-parts" "$cells/copy"
mkdir "$cells/.snap/second"
check "unmount" unmount_lab
check "it is of format 2" grep -q "cytofs store 2" "$work/store/FORMAT"
check "fsck" expect_status 0 "$cytofs" fsck "$work/store"
check "mount again" mount_lab --no-node
check "it still holds it" holds_what_it_held
check "and what came later" grep -q "three cells" "$cells/new.txt"
check "copies of old parts are whole" cmp "$cells/two-parts" "$cells/copy"
check "unmount again" unmount_lab
sed -i 's/cytofs store 2/cytofs store 3/' "$work/store/FORMAT"
check "a newer one is refused" expect_status 1 "$cytofs" fsck "$work/store"
check "  in words" grep -q "newer cytofs" "$work/err"
