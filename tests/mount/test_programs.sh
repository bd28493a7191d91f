#!/bin/bash
# Programs that lean on a file system hard work on the mount, and leave it as they would leave any other.
. "$(dirname "$0")/mount_library.sh"

have() { command -v "$1" >/dev/null || { echo "    (no $1 here)"; return 1; }; }

a_tree_copied_by_tar_is_the_same() {
    mkdir -p "$work/tree/deep/er"
    head -c 300000 /dev/urandom >"$work/tree/deep/random"
    echo text >"$work/tree/deep/er/text"
    ln -s text "$work/tree/deep/er/link"
    chmod 640 "$work/tree/deep/er/text"
    touch -d '2001-02-03 04:05:06.789' "$work/tree/deep/random"
    tar -C "$work" --format=posix -cf "$work/tree.tar" tree
    tar -C "$lab/datasets" -xf "$work/tree.tar"
    diff -r "$work/tree" "$lab/datasets/tree"
    same "$(cd "$work/tree" && find . -type f -printf '%p %m %s %T@\n' | sort)" \
        "$(cd "$lab/datasets/tree" && find . -type f -printf '%p %m %s %T@\n' | sort)"
    same text "$(readlink "$lab/datasets/tree/deep/er/link")"
    tar -C "$lab/datasets" -cf - tree | tar -C "$work" --one-top-level=back -xf -
    diff -r "$work/tree" "$work/back/tree"
}

rsync_finds_nothing_to_do_the_second_time() {
    have rsync || return 0
    mkdir -p "$work/sync"
    for i in $(seq 50); do head -c $((i * 100)) /dev/zero >"$work/sync/$i"; done
    rsync -a "$work/sync/" "$lab/datasets/sync/"
    diff -r "$work/sync" "$lab/datasets/sync"
    same "" "$(rsync -a --itemize-changes "$work/sync/" "$lab/datasets/sync/")"
}

sqlite_keeps_its_promises_in_both_journal_modes() {
    have sqlite3 || return 0
    local mode db
    for mode in delete wal; do
        db=$lab/datasets/$mode.db
        sqlite3 "$db" "pragma journal_mode=$mode; create table t(a integer primary key, b text);" >/dev/null
        for i in 1 2 3; do
            sqlite3 "$db" "begin; with recursive n(i) as (select 1 union all select i+1 from n where i<500)
                insert into t(b) select hex(randomblob(100)) from n; commit;"
        done
        same 1500 "$(sqlite3 "$db" 'select count(*) from t')"
        same ok "$(sqlite3 "$db" 'pragma integrity_check')"
    done
}

git_makes_commits_and_clones() {
    have git || return 0
    export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
    git init -q "$lab/datasets/repository"
    cd "$lab/datasets/repository"
    for i in $(seq 30); do echo "$i" >"file$i"; done
    git add .
    git commit -q -m first
    echo more >>file1
    git commit -q -a -m second
    git gc -q
    git clone -q "$lab/datasets/repository" "$lab/datasets/clone"
    cd "$lab/datasets/clone"
    same 2 "$(git rev-list --count HEAD)"
    same "" "$(git fsck --strict 2>&1 | grep -v -e '^notice' -e '^Checking' || true)"
    same "" "$(git status --porcelain)"
}

dd_reads_and_writes_at_offsets() {
    head -c 1000000 /dev/urandom >"$work/random"
    dd if="$work/random" of="$lab/datasets/dd" bs=4093 status=none
    cmp "$work/random" "$lab/datasets/dd"
    dd if=/dev/zero of="$work/random" bs=1 seek=123457 count=10000 conv=notrunc status=none
    dd if=/dev/zero of="$lab/datasets/dd" bs=1000 seek=123457 count=10 conv=notrunc oflag=seek_bytes status=none
    cmp "$work/random" "$lab/datasets/dd"
    dd if="$lab/datasets/dd" of="$work/direct" bs=4096 iflag=direct status=none
    cmp "$work/random" "$work/direct"
}

sparse_files_and_truncation_work() {
    truncate -s 10M "$lab/datasets/sparse"
    same 10485760 "$(stat -c %s "$lab/datasets/sparse")"
    printf end | dd of="$lab/datasets/sparse" bs=1 seek=9000000 conv=notrunc status=none
    same end "$(dd if="$lab/datasets/sparse" bs=1 skip=9000000 count=3 status=none)"
    same 0 "$(head -c 9000000 "$lab/datasets/sparse" | tr -d '\0' | wc -c)"
    truncate -s 9000001 "$lab/datasets/sparse"
    same e "$(tail -c 1 "$lab/datasets/sparse")"
    truncate -s 9000003 "$lab/datasets/sparse"
    same 1 "$(tail -c 3 "$lab/datasets/sparse" | tr -d '\0' | wc -c)"
}

python_maps_files_and_derived_ones_too() {
    mkdir -p "$lab/datasets/d"
    echo 12345 >"$lab/datasets/d/data"
    python3 - "$lab" <<'PYTHON'
import mmap, os, sys
path = sys.argv[1] + "/datasets/mapped"
with open(path, "wb") as out:
    out.write(bytes(100000))
with open(path, "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as view:
        view[5000:5005] = b"hello"
        view[99999] = 7
        view.flush()
data = open(path, "rb").read()
assert data[5000:5005] == b"hello" and data[99999] == 7 and len(data) == 100000
with open(sys.argv[1] + "/datasets/d/size", "rb") as file:
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:] == b"6 bytes\n", view[:]
PYTHON
}

numpy_and_others_that_map_privately_work() {
    python3 -c 'import numpy' 2>/dev/null || { echo "    (no numpy here)"; return 0; }
    python3 - "$lab/datasets/array.npy" <<'PYTHON'
import sys
import numpy as np
a = np.arange(200000, dtype=np.float32)
np.save(sys.argv[1], a)
assert (np.load(sys.argv[1], mmap_mode="r") == a).all()
assert (np.load(sys.argv[1], mmap_mode="c")[:10] == a[:10]).all()
PYTHON
}

derived_files_survive_cp_wc_tar_and_checksums() {
    mkdir -p "$lab/datasets/e"
    head -c 77 /dev/zero >"$lab/datasets/e/data"
    cp "$lab/datasets/e/size" "$work/size"
    same "77 bytes" "$(cat "$work/size")"
    same 9 "$(stat -c %s "$lab/datasets/e/size")"
    same 9 "$(wc -c <"$lab/datasets/e/size")"
    tar -C "$lab/datasets" -cf "$work/e.tar" e
    same "77 bytes" "$(tar -xOf "$work/e.tar" e/size)"
    cp "$lab/README" "$work/README"
    [ -s "$work/README" ]
}

locks_hold_between_processes() {
    exec 9>"$lab/datasets/lock"
    flock 9
    fails flock -n "$lab/datasets/lock" true
    exec 9>&-
    flock -n "$lab/datasets/lock" true
}

extended_attributes_travel_with_cp() {
    python3 - "$lab/datasets/with" <<'PYTHON'
import os, sys
open(sys.argv[1], "w").close()
os.setxattr(sys.argv[1], "user.stain", b"DAPI")
assert os.listxattr(sys.argv[1]) == ["user.stain"]
PYTHON
    cp -a "$lab/datasets/with" "$lab/datasets/copy"
    same DAPI "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.stain").decode())' "$lab/datasets/copy")"
}

a_folder_of_3000_files_is_listed_whole_and_fast() {
    mkdir "$lab/datasets/many"
    python3 -c 'import sys
for i in range(3000): open("%s/%d" % (sys.argv[1], i), "w").close()' "$lab/datasets/many"
    same 3000 "$(ls -l "$lab/datasets/many" | grep -c '^-')"
    same 3000 "$(find "$lab/datasets/many" -type f | wc -l)"
    timeout 60 rm -r "$lab/datasets/many"
    [ ! -e "$lab/datasets/many" ]
}

random_operations_do_what_they_do_on_the_host() {
    local seed
    for seed in 1 2 3 4; do
        mkdir "$lab/datasets/random$seed" "$work/random$seed"
        python3 "$here/compare_with_host.py" "$lab/datasets/random$seed" "$work/random$seed" $seed 1500
    done
}

start_server "$lab" || exit 1
run_tests random_operations_do_what_they_do_on_the_host a_tree_copied_by_tar_is_the_same rsync_finds_nothing_to_do_the_second_time \
    sqlite_keeps_its_promises_in_both_journal_modes git_makes_commits_and_clones dd_reads_and_writes_at_offsets \
    sparse_files_and_truncation_work python_maps_files_and_derived_ones_too numpy_and_others_that_map_privately_work \
    derived_files_survive_cp_wc_tar_and_checksums locks_hold_between_processes extended_attributes_travel_with_cp \
    a_folder_of_3000_files_is_listed_whole_and_fast
finish
