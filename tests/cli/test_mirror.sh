# Mirrors and scrubbing as a user meets them: either folder is lost under a running workload, and nothing is; flipped bits are found
# and mended; the mirror alone is a whole lab.
source "$(dirname "$0")/cli.sh"
need_mount

second=$work/second
quietly() { "$@" >"$work/out" 2>"$work/err"; }
flip() { # FILE BYTE
    python3 - "$1" "$2" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 16]))
PYTHON
}
# Writes files, each of them durable before its name is noted with its sum, until the file "stop" is there.
work_on() {
    local n=0
    while [ -e "$work/sums" ] && [ ! -e "$work/stop" ]; do
        n=$((n + 1))
        head -c $((RANDOM * 9 + 1)) /dev/urandom >"$work/bytes"
        if cp "$work/bytes" "$lab/datasets/cells/file$n" && sync "$lab/datasets/cells/file$n"; then
            echo "$(sha256sum <"$work/bytes" | cut -d' ' -f1)  file$n" >>"$work/sums"
        else
            echo "file$n" >>"$work/refused"
            return
        fi
    done
}
# A line at a time, each of them durable before it is noted, by the log of recent writes.
append_lines() {
    python3 - "$lab/datasets/cells/log" "$work/lines" "$work/stop" <<'PYTHON'
import os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
with open(sys.argv[2], "a") as noted:
    for n in range(10**9):
        line = "line %d\n" % n
        os.write(log, line.encode())
        os.fsync(log)
        noted.write(line)
        noted.flush()
        time.sleep(0.003)
        if os.path.exists(sys.argv[3]) or not os.path.exists(sys.argv[2]):
            break
PYTHON
}
no_line_is_lost() { head -c "$(stat -c %s "$work/lines")" "$lab/datasets/cells/log" | cmp - "$work/lines"; }
nothing_is_lost() { [ ! -e "$work/refused" ] && (cd "$lab/datasets/cells" && sha256sum --quiet -c "$work/sums"); }
more_files() { [ "$(wc -l <"$work/sums")" -gt "$1" ]; }
write_more() { wait_for 60 more_files "$(($(wc -l <"$work/sums") + 5))"; }

check "init with a mirror" expect_status 0 "$cytofs" init --mirror "$second" "$work/store"
check "both are up to date" expect_status 0 "$cytofs" mirror "$work/store"
check "mount" mount_lab --no-node
mkdir "$lab/datasets/cells"
touch "$work/sums"
work_on &
worker=$!
append_lines &
appender=$!
check "files come in" write_more

rm -rf "$second"
check "the mirror is lost, the lab goes on" write_more
check "health says so" grep -q "LOST.*$second" "$lab/lab/mirrors"
check "and last-error" grep -q "MIRROR LOST" "$lab/lab/last-error"
check "and the log" grep -q "MIRROR LOST" "$XDG_STATE_HOME"/cytofs/*.log
check "it comes back" expect_status 0 "$cytofs" mirror add "$lab" "$second"
check "files come in" write_more

rm -rf "$work/store"
check "the first folder is lost, the lab goes on" write_more
check "nothing is lost" nothing_is_lost
check "it comes back" expect_status 0 "$cytofs" mirror add "$lab" "$work/store"
check "files come in" write_more
check "a lab in use is scrubbed" expect_status 0 "$cytofs" scrub "$lab" --rate 0
touch "$work/stop"
wait $worker
check "every append was taken" wait $appender
check "nothing is lost" nothing_is_lost
check "no appended line either" no_line_is_lost
check "unmount" unmount_lab
check "small writes were made durable in both folders" cmp -n 64 <(head -c 64 /dev/zero) "$second/recent.log"

pack=packs/00000001.pack
check "all is whole" expect_status 0 "$cytofs" scrub --rate 0 "$work/store"
for place in "$work/store/FORMAT 20" "$work/store/mirrors 100" "$work/store/$pack 20" "$second/$pack 5000" "$second/catalog.db 9000"; do
    flip $place
    check "a flipped bit is found and mended: ${place##*/}" expect_status 0 "$cytofs" scrub --json --rate 0 "$work/store"
    check "  told as JSON" python3 -c 'import json, sys; found = json.load(sys.stdin); assert found["damaged"] == found["mended"] == 1, found' <"$work/out"
done
check "all is whole" expect_status 0 "$cytofs" scrub --rate 0 --look-only "$work/store"

rm -rf "$work/store"
check "the mirror alone passes fsck" expect_status 0 "$cytofs" fsck "$second"
mv "$second" "$work/store"
check "and is mounted, wherever it lies" mount_lab --no-node
check "with everything in it" nothing_is_lost
check "and each line" no_line_is_lost
check "unmount" unmount_lab

flip "$work/store/$pack" 5000
check "damage without a mirror is told" expect_status 1 "$cytofs" scrub --rate 0 "$work/store"
check "  where it is" grep -q "damaged.*00000001.pack.*lost" "$work/out"
