# kill -9 of the trainer, the node and the file server: nothing acknowledged is lost, nothing is stuck, one version is made.
source "$(dirname "$0")/cli.sh"
need_mount

in_state() { state_of "$1" | grep -q "$2"; }
over() { state_of "$1" | grep -Eq 'finished|failed|cancelled'; }
spec() { printf 'experiment: kill\ndataset: datasets/cells\ntrain: {steps: %s, batch: 2, image_size: 64, seed: %s}\nregister: kill-%s\n' "$1" "$2" "$2"; }
server_pids() { pgrep -f "^$cytofs mount $work/store"; }
nothing_computes() { ! pgrep -f "^[^ ]*cytofs (node|train) .*$XDG_RUNTIME_DIR/" >/dev/null; }
trained_at_least() { [ "$(cut -d' ' -f1 "$lab/jobs/$1/progress" 2>/dev/null || echo 0)" -ge "$2" ]; }
versions() { ls "$lab/models/kill-$1" | grep -cE '^[0-9]+$'; }

check "init" expect_status 0 "$cytofs" init "$work/store"
check "mount" mount_lab
check "a dataset" expect_status 0 "$cytofs" synth fluo16 "$lab/datasets/cells" --images 12 --width 128 --height 128

check "a job" cp <(spec 150 1) "$lab/jobs/trainer.yaml"
check "trains" wait_for 120 trained_at_least trainer 5
check "kill -9 of the trainer" pkill -KILL -f "^[^ ]*cytofs train .*$XDG_RUNTIME_DIR/"
check "the job goes on and finishes" wait_for 200 in_state trainer finished
check "with one version" [ "$(versions 1)" = 1 ]
check "after it was lost once" [ "$(grep -c '"lost"' "$lab/jobs/trainer/events")" = 1 ]

check "a job" cp <(spec 150 2) "$lab/jobs/node.yaml"
check "trains" wait_for 120 trained_at_least node 5
check "kill -9 of the node" pkill -KILL -f "^[^ ]*cytofs node $XDG_RUNTIME_DIR/"
check "the job goes on and finishes" wait_for 200 in_state node finished
check "with one version" [ "$(versions 2)" = 1 ]

check "a job" cp <(spec 150 3) "$lab/jobs/server.yaml"
check "another behind it" cp <(spec 4 4) "$lab/jobs/waiting.yaml"
check "trains" wait_for 120 trained_at_least server 5
kill -KILL $(server_pids)
check "the node and the trainer end with it" wait_for 60 nothing_computes
check "mounting again clears the dead mount" mount_lab
check "both specs are there" [ -s "$lab/jobs/server.yaml" -a -s "$lab/jobs/waiting.yaml" ]
check "the job goes on and finishes" wait_for 200 in_state server finished
check "the other too" wait_for 120 in_state waiting finished
check "with one version each" [ "$(versions 3)$(versions 4)" = 11 ]

# Acknowledged is acknowledged: cp of a spec returned, and the server dies at once.
for round in 1 2 3; do
    cp <(spec 2 "1$round") "$lab/jobs/quick$round.yaml"
    kill -KILL $(server_pids)
    check "round $round: mounting again" mount_lab
    check "round $round: the spec is there" [ -s "$lab/jobs/quick$round.yaml" ]
    check "round $round: its run finishes" wait_for 120 in_state "quick$round" finished
done
check "unmount" unmount_lab
check "no folder of a node is left" [ -z "$(ls "$XDG_RUNTIME_DIR")" ]
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"
