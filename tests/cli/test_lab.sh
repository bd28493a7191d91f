# A member's day in a mounted lab: specs good and bad, the queue, cancelling, programs of one's own, snapshots, remounting.
source "$(dirname "$0")/cli.sh"
need_mount

in_state() { state_of "$1" | grep -q "$2"; }
tiny_spec() { # name, extra train keys
    printf 'experiment: tests\ndataset: datasets/cells\ntrain: {steps: %s, batch: 2, image_size: 64, seed: 3}\nregister: tiny\n' "$1"
}

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab
check "README is there" grep -q jobs "$lab/README"
check "images outside" expect_status 0 "$cytofs" synth fluo16 "$work/plain" --images 12 --width 128 --height 128
check "a dataset" expect_status 0 "$cytofs" import "$work/plain" "$lab/datasets/cells"

look_around() { # what shells, file managers, backups and editors try without being told
    ls -lRa "$lab" && find "$lab" -ls && du -s "$lab" && df "$lab" && grep -rq no-such-text "$lab/datasets"
    for path in "$lab/README" "$lab/jobs/queue" "$lab/datasets/cells/images" "$lab/jobs/events" "$lab/lab/health"; do
        test -w "$path"; test -x "$path"; test -e "$path.swp"; readlink "$path"; cat "$path/below"; cd "$path/none"
        getfattr -d -m - "$path"; python3 -c 'import os, sys; os.listxattr(sys.argv[1]); os.getxattr(sys.argv[1], "user.none")' "$path"
    done
    tar -cf "$work/lab.tar" -C "$lab" README datasets experiments lab/health
    rsync -aX "$lab/datasets/" "$work/backup/"
    mkdir -p "$lab/experiments" && mkdir "$lab/jobs" || rmdir "$lab/datasets/cells" || cat "$lab/jobs/none.yaml"
    cp -a "$lab/README" "$work/README" && git -C "$lab/datasets/cells" status
}
look_around >/dev/null 2>&1
cat "$lab/lab/last-error"
check "looking around is no failure" grep -q 'nothing was refused' "$lab/lab/last-error"
figure() { awk -v name="$1" '$1 == name {print $2}' "$lab/lab/health"; }
stored_files() { find "$lab/datasets" "$lab/lab/nodes" -type f "$@"; }
counts_files() { [ "$(figure files)" = "$(stored_files | wc -l)" ]; }
counts_bytes() { [ "$(figure bytes)" = "$(stored_files -printf '%s\n' | awk '{sum += $1} END {print sum}')" ]; }
# Where counting was slow once, on a busy machine, the numbers may be a moment old.
check "lab/health counts files" wait_for 60 counts_files
check "and their bytes" wait_for 60 counts_bytes
check "and knows the disk" [ "$(figure bytes_free)" -gt 1000000 ]
check "and what the store takes" [ "$(figure bytes_stored)" -ge "$(figure bytes)" ]

printf 'experiment: tests\ndataset: datasets/cels\ntrain: {network: celldet-x, batch: many}\n' >"$work/bad.yaml"
check "cp of a bad spec exits 1" expect_status 1 cp "$work/bad.yaml" "$lab/jobs/"
check "its text is kept" cmp "$work/bad.yaml" "$lab/jobs/bad.yaml"
cat "$lab/jobs/bad.error"
check "the dataset's name, with line and column" grep -Eq 'jobs/bad.yaml:2:10: .*cels.*datasets/cells' "$lab/jobs/bad.error"
check "the network, with line and column" grep -Eq 'jobs/bad.yaml:3:18: .*celldet-x' "$lab/jobs/bad.error"
check "the batch, with line and column" grep -Eq 'jobs/bad.yaml:3:36: .*many' "$lab/jobs/bad.error"
check "the refusal stands in lab/last-error" grep -q bad.yaml "$lab/lab/last-error"
check "submit of the same exits 1 and prints it" expect_status 1 "$cytofs" submit --lab "$lab" "$work/bad.yaml"
check "all three findings" [ "$(grep -c 'bad.yaml:[0-9]*:[0-9]*:' "$work/err")" = 3 ]
check "no run was made" test ! -e "$lab/jobs/bad"
printf 'run: "while [ ! -e go ]; do sleep 0.1; done"\n' >"$lab/jobs/first.yaml"
check "a program that waits" wait_for 60 in_state first running
check "a repaired spec" cp <(tiny_spec 8) "$lab/jobs/bad.yaml"
check "is no longer refused" wait_for 60 test ! -e "$lab/jobs/bad.error"

tiny_spec 200 >"$work/second.yaml"
check "another at once" cp "$work/second.yaml" "$lab/jobs/"
check "cat shows the runs that are not over, and ends" timeout 60 cat "$lab/jobs/events"
check "  each in a line, as soon as all are taken up" wait_for 60 bash -c "timeout 60 cat '$lab/jobs/events' | grep -c '\"state\"' | grep -qx 3"
tail -f "$lab/jobs/events" >"$work/followed" 2>"$work/tail-err" &
tail=$!
check "the queue says why the second waits" wait_for 60 grep -Eq 'second.*(waits|free)' "$lab/jobs/queue"
cat "$lab/jobs/queue"
touch "$lab/jobs/first/go"
check "watch ends with the first" expect_status 0 "$cytofs" watch bad --lab "$lab"
check "the first has finished" in_state bad finished
check "the second runs" wait_for 60 in_state second running
rm "$lab/jobs/second.yaml"
check "rm of the spec cancels it" wait_for 60 grep -q cancelled "$lab/experiments/tests/002/status"
check "tail -f has shown what was, and each change" wait_for 60 grep -q '"job":"second".*"state":"cancelled"' "$work/followed"
check "  the first's end among them" grep -q '"job":"bad".*"state":"finished"' "$work/followed"
check "  and complains of nothing" test ! -s "$work/tail-err"
kill $tail
check "its link is gone" wait_for 60 test ! -e "$lab/jobs/second"

run=$lab/jobs/bad
check "metrics" [ -s "$run/metrics/train/loss" ]
check "metrics.csv has its true size" [ "$(stat -c %s "$run/metrics.csv")" = "$(wc -c <"$run/metrics.csv")" ]
check "plots are PNG" [ "$(head -c 4 "$(ls "$run"/plots/*.png | head -n 1)" | tail -c 3)" = PNG ]
check "the log" grep -q . "$run/log"
check "the board has a row a run" [ "$(wc -l <"$lab/experiments/tests/board.csv")" = 3 ]
check "the report is HTML" grep -qi '<html' "$lab/experiments/tests/report.html"
check "the model is a link to a version" [ "$(readlink -f "$run/model")" = "$lab/models/tiny/1" ]
check "latest points there" [ "$(readlink "$lab/models/tiny/latest")" = 1 ]
check "lineage names the snapshot" grep -q 'snapshot: "auto-' "$lab/models/tiny/1/lineage.yaml"
check "an alias" ln -sfn 1 "$lab/models/tiny/production"
check "detect with the model in the lab" expect_status 0 "$cytofs" detect "$lab/models/tiny/production" "$lab/datasets/cells/images" --output "$work/found"
check "the same text again" cp "$lab/jobs/bad/spec.yaml" "$lab/jobs/bad.yaml"
sleep 1
check "runs it once" [ "$(readlink "$lab/jobs/bad")" = ../experiments/tests/001 ]

cat >"$lab/jobs/program.yaml" <<'SPEC'
dataset: datasets/cells
run: |
  echo "images: $(ls "$CYTOFS_DATASET/images" | wc -l)"
  mkdir -p metrics model
  echo "1700000000000 0.5 1" > "$CYTOFS_RUN/metrics/score"
  echo weights > model/weights.bin
register: own
SPEC
check "a program of one's own" expect_status 0 "$cytofs" watch program --lab "$lab"
check "its output is the log" grep -q '^images: ' "$lab/jobs/program/log"
check "its model is registered" [ "$(cat "$lab/models/own/latest/weights.bin")" = weights ]
printf 'run: "echo so it goes >&2; exit 3"\n' >"$lab/jobs/failing.yaml"
check "a failing program" expect_status 1 "$cytofs" watch failing --lab "$lab"
check "its status says why" grep -q 'so it goes' "$lab/jobs/failing/status"

check "a snapshot" mkdir "$lab/datasets/cells/.snap/v1"
check "holds the files" [ "$(ls "$lab/datasets/cells/.snap/v1" | wc -l)" = "$(ls "$lab/datasets/cells" | wc -l)" ]
check "and cannot be written" bash -c "! touch '$lab/datasets/cells/.snap/v1/x' 2>/dev/null"

check "a run can be removed whole" rm -r "$lab/jobs/program.yaml" "$lab/experiments/program"
check "and is gone" test ! -e "$lab/experiments/program"

check "unmount" unmount_lab
for secret in bad.yaml celldet train/loss 'experiment: tests' boxes.csv "so it goes" latest; do
    check "the store does not show \"$secret\"" bash -c "! grep -rqaF '$secret' '$work/store'"
done
cat >"$work/find_pixels.py" <<'PYTHON'
# Exits 1 where the store holds 24 bytes that stand in the middle of an image.
import pathlib, sys
image = pathlib.Path(sys.argv[1]).read_bytes()
pieces = [image[at:at + 24] for at in range(len(image) // 4, len(image) - 24, 997)]
for path in pathlib.Path(sys.argv[2]).rglob("*"):
    if path.is_file():
        stored = path.read_bytes()
        if any(piece in stored for piece in pieces):
            sys.exit("%s shows pixels" % path)
PYTHON
check "nor pixels" python3 "$work/find_pixels.py" "$(ls "$work"/plain/images/*.tif | head -n 2 | tail -n 1)" "$work/store"
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
check "mount again" mount_lab
check "the run is still there" in_state bad finished
check "the version too" [ -s "$lab/models/tiny/latest/model.safetensors" ]
