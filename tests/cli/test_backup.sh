# Backups of a store at rest and of a lab in use, what is refused, kills in the middle, and that what is put back is the same.
source "$(dirname "$0")/cli.sh"
need_mount

backup=$work/backup
put_back_is_free() { ! pgrep -f "$cytofs mount.* $work/put-back" >/dev/null; }
said() { grep -q "$1" "$work/out"; }
# A store elsewhere is mounted, compared with what was there then, and checked.
restores_to() { # WHAT THEN [--at X]
    local what=$1 then=$2 status=0
    shift 2
    rm -rf "$work/put-back" && mkdir -p "$work/second"
    check "$what is put back" expect_status 0 "$cytofs" restore "$@" "$backup" "$work/put-back"
    check "  it is whole" expect_status 0 "$cytofs" fsck $accept "$work/put-back"
    check "  it mounts" expect_status 0 "$cytofs" mount --no-node $accept "$work/put-back" "$work/second"
    diff -r "$then" "$work/second/datasets" || status=1
    fusermount3 -u "$work/second"
    wait_for 60 put_back_is_free
    check "  and shows what was there" [ $status = 0 ]
}
accept=

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
mkdir -p "$lab/datasets/cells/more"
for i in 1 2 3 4 5; do head -c 700000 /dev/urandom >"$lab/datasets/cells/image-$i"; done
cp -r "$lab/datasets" "$work/then-1"

sync -f "$lab" && sync "$lab" # nothing is left to be committed then
check "a backup of a lab in use" expect_status 0 "$cytofs" backup "$lab" "$backup"
check "  tells its point" said "made point 1"
check "lab/backup tells the same" grep -q "made point 1" "$lab/lab/backup"
check "nothing new, no new point" expect_status 0 "$cytofs" backup "$lab" "$backup"
check "  it says so" said "nothing has changed since point 1"
restores_to "point 1" "$work/then-1"

check "a relative path is refused by the file" sh -c "! echo backup >'$lab/lab/backup'"
check "  in words" grep -q "no absolute path" "$lab/lab/backup"
check "a folder in the lab is refused" expect_status 1 "$cytofs" backup "$lab" "$lab/datasets/cells/backup"
check "  in words" grep -q "lies in the lab itself" "$work/err"
ln -s "$lab/datasets" "$work/link"
check "  by any way" expect_status 1 "$cytofs" backup "$lab" "$work/link/backup"
check "  in words" grep -q "lies in a lab" "$work/err"
check "the store's own folder is refused" expect_status 1 "$cytofs" backup "$lab" "$work/store/backup"
check "a folder of somebody else's is refused" expect_status 1 "$cytofs" backup "$lab" "$work/then-1"
check "the store of a mounted lab is refused" expect_status 1 "$cytofs" backup "$work/store" "$work/backup"
check "  and says who has it" grep -q "in use by process" "$work/err"

for i in 3 4 5 6 7; do head -c 900000 /dev/urandom >"$lab/datasets/cells/image-$i"; done
rm "$lab/datasets/cells/image-1"
cp -r "$lab/datasets" "$work/then-2"
(for ((i = 0; i < 60; i++)); do head -c 300000 /dev/urandom >"$lab/experiments/other-$i"; done) &
writer=$!
check "a second point beside writers" expect_status 0 "$cytofs" backup "$lab" "$backup"
wait $writer

# The server is killed in the middle of backups: the folder holds whole points only, and the next backup is right.
for delay in 0.02 0.05 0.1 0.2; do
    for i in 1 2 3; do head -c 2000000 /dev/urandom >"$lab/datasets/cells/more/$i"; done
    echo "$backup" >"$lab/lab/backup"
    sleep $delay
    pkill -KILL -f "$cytofs mount.* $work/store"
    fusermount3 -uz "$lab" 2>/dev/null
    wait_for 60 store_is_free
    check "  every point that is listed after a kill can be read" expect_status 0 "$cytofs" backup --list "$backup"
    check "  mounted again" mount_lab --no-node
done
rm -rf "$work/then-3" && cp -r "$lab/datasets" "$work/then-3"
check "unmount" unmount_lab
check "a backup of a store at rest needs no key" env HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent \
    "$cytofs" backup "$work/store" "$backup"
restores_to "the newest point" "$work/then-3"
restores_to "point 2" "$work/then-2" --at 2
restores_to "the last point of this day" "$work/then-3" --at "$(date +%Y-%m-%d)"
check "a moment before all of them is refused" expect_status 1 "$cytofs" restore --at 2001-02-03 "$backup" "$work/none"
check "  and says what there is" grep -q "there are 1 (of" "$work/err"
check "nothing was made" [ ! -e "$work/none" ]
check "a store is not restored over" expect_status 1 "$cytofs" restore "$backup" "$work/store"

# Killed in the middle of a restore.
for delay in 0.01 0.03 0.06; do
    rm -rf "$work/half"
    "$cytofs" restore "$backup" "$work/half" >/dev/null 2>&1 &
    sleep $delay
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    if [ ! -e "$work/half/FORMAT" ]; then
        check "  half a store is none" expect_status 1 "$cytofs" fsck "$work/half"
        check "  and is finished by the same command" expect_status 0 "$cytofs" restore "$backup" "$work/half"
    fi
    check "  then it is whole" expect_status 0 "$cytofs" fsck $accept "$work/half"
done

# Space given back, in use and at rest.
check "mounted once more" mount_lab --no-node
head -c 30000000 /dev/urandom >"$lab/datasets/cells/large" && sync "$lab/datasets/cells/large" && rm "$lab/datasets/cells/large"
check "gc of a lab in use" expect_status 0 "$cytofs" gc "$lab"
check "  tells what it gave back" awk '$1 == "gave" { exit $3 < 29 }' "$work/out"
check "  and took nothing else" diff -r "$work/then-3" "$lab/datasets"
check "nonsense is refused" sh -c "! echo soon >'$lab/lab/gc'"
check "  in words" grep -q "no percentage" "$lab/lab/gc"
check "unmount" unmount_lab
check "gc of a store at rest" expect_status 0 "$cytofs" gc --dead 1 "$work/store"
check "it is whole" expect_status 0 "$cytofs" fsck "$work/store"

check "old points go" expect_status 0 "$cytofs" backup --keep 1 --again "$work/store" "$backup"
check "one is left" [ "$("$cytofs" backup --list "$backup" | wc -l)" = 1 ]
restores_to "it" "$work/then-3"
