# The disk that holds the lab is full because of what others write there, now and then or for long, while members go on: who writes
# much or makes files is refused, what was made durable is kept, what is removed stays removed, the lab can be mounted, and as soon as
# there is room everything goes on, without a new mount.
source "$(dirname "$0")/cli.sh"
need_mount

disk=$work/disk
if [ "$(id -u)" != 0 ]; then echo "skipped: mounting a disk of one's own needs root"; exit 77; fi
for tool in mkfs.ext4 losetup; do
    if ! command -v $tool >/dev/null; then echo "skipped: there is no $tool"; exit 77; fi
done
mkdir "$disk"
truncate -s 128M "$work/disk.image"
mkfs.ext4 -q -m 0 -F "$work/disk.image"
if ! mount -o loop "$work/disk.image" "$disk" 2>"$work/err"; then echo "skipped: no loop device can be mounted: $(cat "$work/err")"; exit 77; fi
end() {
    kill "$filler" 2>/dev/null
    unmount_lab
    umount -l "$work/store" "$disk"
    clean_up
}
filler=
trap end EXIT
mkdir "$disk/store" "$work/store"
mount --bind "$disk/store" "$work/store"

# keep_full MIB: takes whatever is free, and gives so much of it back now and then, so that there is room at one moment and none at
# the next.
keep_full() {
    exec python3 - "$disk/filler" "$1" <<'EOF'
import os, sys, time
given_back = int(sys.argv[2]) << 20
with open(sys.argv[1], "wb", buffering=0) as filler:
    while True:
        for piece in (1 << 20, 1 << 12):
            try:
                while True:
                    filler.write(bytes(piece))
            except OSError:
                time.sleep(0.01)
        filler.truncate(max(0, filler.seek(0, os.SEEK_END) - given_back))
        filler.seek(0, os.SEEK_END)
        time.sleep(0.01)
EOF
}
begin_filling() { keep_full "$1" & filler=$!; wait_for 60 disk_is_full; }
end_filling() { kill $filler; wait $filler 2>/dev/null; filler=; }
disk_is_full() { [ "$(df --output=avail "$disk" | tail -n 1)" -lt 500 ]; }
make_room() { rm "$disk/filler"; }
daemon() { pgrep -f "$cytofs mount.* $work/store" | head -n 1; }
peak_mib() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$(daemon)/status"; }

check "a lab on a small disk" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab --no-node
cells=$lab/datasets/cells
mkdir "$cells"
for i in $(seq 100); do head -c 20000 /dev/urandom >"$cells/kept$i"; done
sync "$cells"/kept*
(cd "$cells" && sha256sum kept*) >"$work/sums"
nothing_is_lost() { (cd "$cells" && sha256sum --quiet -c "$work/sums"); }

# The names of files that were made, and whether what is in them could be written.
make_files() {
    python3 - "$cells" "$1" <<'EOF'
import errno, os, sys
folder, count = sys.argv[1], int(sys.argv[2])
refused = 0
for i in range(count):
    try:
        os.mkdir(f"{folder}/folder{i}")
        with open(f"{folder}/new{i}", "wb") as file:
            file.write(os.urandom(100))
            if i % 100 == 0:
                os.fsync(file.fileno())
    except OSError as failure:
        if failure.errno != errno.ENOSPC:
            print(f"new{i}: {failure}")
            sys.exit(1)
        refused += 1
print(refused)
EOF
}

check "others fill the disk, but for moments" begin_filling 16
check "  who makes files is told that it is full, and nothing else" expect_status 0 make_files 6000
echo "    ($(cat "$work/out") refused; the daemon's peak is $(peak_mib) MiB)"
check "  what was there is there" nothing_is_lost
end_filling
make_room
check "  with room, files are made and synced again" wait_for 60 sh -c "{ echo here >$cells/after && sync $cells/after; } 2>/dev/null"
check "  and removed" sh -c "find $cells -name 'new*' -delete -o -name 'folder*' -delete && sync $cells"
check "  what was there is there" nothing_is_lost

check "a disk that is full, and stays so" begin_filling 0
check "  who writes is told" sh -c "! { head -c 8000000 /dev/urandom >$cells/large && sync $cells/large; } 2>/dev/null"
check "  who makes files is told that it is full, and nothing else" expect_status 0 make_files 500
check "  what was written last is removed, as it was told" sh -c "find $cells -name 'new*' -delete -o -name 'folder*' -delete && rm -f $cells/large"
check "  and what was there before, for good" sh -c "rm $cells/kept1 $cells/kept2 && sync $cells"
sed -i '/ kept[12]$/d' "$work/sums"
check "  unmount" unmount_lab
check "  a mount on it" mount_lab --no-node
check "  shows what was there" nothing_is_lost
check "  and not what was removed" [ ! -e "$cells/kept1" ]
end_filling
make_room
check "  with room, files are made and synced" wait_for 60 sh -c "{ echo here >$cells/late && sync $cells/late; } 2>/dev/null"
check "unmount" unmount_lab
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
