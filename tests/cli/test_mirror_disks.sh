# A mirror's disk fails while the lab is in use, on real file systems: it becomes read-only after an error, as ext4 makes it; it
# answers every call with EIO, as after a broken cable; it is full. The lab goes on, says what happened and what to do; on a new
# disk, or where there is room again, the mirror is brought up to date, and is the whole lab by itself.
source "$(dirname "$0")/cli.sh"
need_mount

disk=$work/disk
second=$disk/second
first=$work/store
if [ "$(id -u)" != 0 ]; then echo "skipped: mounting a disk of one's own needs root"; exit 77; fi
for tool in mkfs.ext4 losetup; do
    if ! command -v $tool >/dev/null; then echo "skipped: there is no $tool"; exit 77; fi
done
mkdir "$disk"

# A new, empty disk at $disk.
insert_disk() {
    rm -f "$work/disk.image"
    truncate -s 48M "$work/disk.image"
    mkfs.ext4 -q -O ^has_journal -F "$work/disk.image"
    tune2fs -e remount-ro "$work/disk.image" >/dev/null
    mount -o loop "$work/disk.image" "$disk"
}
pull_out_disk() { umount -l "$disk"; }
if ! insert_disk 2>"$work/err"; then echo "skipped: no loop device can be mounted: $(cat "$work/err")"; exit 77; fi
end() {
    kill "$worker" 2>/dev/null
    unmount_lab
    pull_out_disk 2>/dev/null
    clean_up
}
worker=
trap end EXIT

make_read_only() { echo "a test" >"/sys/fs/ext4/$(basename "$(findmnt -no SOURCE "$disk")")/trigger_fs_error"; }
make_deaf() { # ext4's own shutdown: nothing is written any more, every call fails
    python3 -c 'import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))' "$disk"
}
make_full() { head -c 100M /dev/zero >"$disk/filler" 2>/dev/null; [ "$(df --output=avail "$disk" | tail -n 1)" -lt 100 ]; }
is_read_only() { ! touch "$disk/x" 2>/dev/null; }

# Writes files, each of them durable before its name is noted with its sum, until the file "stop" is there.
work_on() {
    local n=0
    while [ -e "$work/sums" ] && [ ! -e "$work/stop" ]; do
        n=$((n + 1))
        head -c $((RANDOM * 3 + 1)) /dev/urandom >"$work/bytes"
        if cp "$work/bytes" "$lab/datasets/cells/file$n" && sync "$lab/datasets/cells/file$n" && rm -f "$lab/datasets/cells/file$((n - 40))"; then
            sed -i "/  file$((n - 40))\$/d" "$work/sums"
            echo "$(sha256sum <"$work/bytes" | cut -d' ' -f1)  file$n" >>"$work/sums"
            echo $n >"$work/written.new" && mv "$work/written.new" "$work/written"
        else
            echo "file$n" >>"$work/refused"
            return
        fi
    done
}
nothing_is_lost() { [ ! -e "$work/refused" ] && (cd "$lab/datasets/cells" && sha256sum --quiet -c "$work/sums"); }
wrote_since() { [ "$(cat "$work/written")" -gt "$1" ]; }
write_more() { wait_for 60 wrote_since "$(($(cat "$work/written") + 5))"; }
begin_work() { rm -f "$work/stop"; work_on & worker=$!; }
end_work() { touch "$work/stop"; wait $worker; }

# expect_loss WORDS: of the reason, as the system says it or SQLite does
expect_loss() {
    check "  the lab goes on" write_more
    check "  lab/mirrors says that it is lost" wait_for 60 grep -q "LOST.*$second" "$lab/lab/mirrors"
    check "  why" grep -q "LOST.*$second.*\($1\)" "$lab/lab/mirrors"
    check "  and what to do" grep -q "echo add $second >" "$lab/lab/mirrors"
    check "  and last-error, too" grep -q "MIRROR LOST.*$second.*cytofs mirror add" "$lab/lab/last-error"
    check "  more is written" write_more
}
expect_return() {
    check "  it is brought up to date" expect_status 0 "$cytofs" mirror add "$lab" "$second"
    check "  and written to" write_more
    end_work
    check "  nothing is lost" nothing_is_lost
    check "  unmount" unmount_lab
    check "  both folders are whole" expect_status 0 "$cytofs" scrub --rate 0 "$first"
    mv "$first" "$first.aside"
    check "  the mirror alone is mounted" "$cytofs" mount --no-node "$second" "$lab"
    check "  with everything in it" nothing_is_lost
    fusermount3 -u "$lab"
    check "  and closed" wait_for 60 second_is_free
    rm -rf "$first.aside"
}
second_is_free() { ! pgrep -f "$cytofs mount.* $second" >/dev/null; }

begin_lab() { # a mirrored lab at work
    rm -rf "$first" "$work/sums" "$work/refused"
    touch "$work/sums"
    echo 0 >"$work/written"
    check "$1" expect_status 0 "$cytofs" init --mirror "$second" "$first"
    check "  mount" mount_lab --no-node
    mkdir "$lab/datasets/cells"
    begin_work
    check "  files come in" write_more
}

begin_lab "a disk becomes read-only"
make_read_only
if is_read_only; then
    expect_loss 'Read-only file system\|readonly'
    pull_out_disk
    insert_disk
    expect_return
else
    echo "skipped: this kernel's ext4 has no trigger_fs_error"
    end_work
    unmount_lab
fi
pull_out_disk
insert_disk

begin_lab "a disk answers every call with EIO"
make_deaf
expect_loss 'Input/output error\|disk I/O error'
pull_out_disk
insert_disk
expect_return
pull_out_disk
insert_disk

begin_lab "a disk is full"
make_full
expect_loss 'No space left on device\|disk is full'
rm "$disk/filler"
expect_return
