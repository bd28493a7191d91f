# kill -9 of a training at five random steps of its first half (the rest is for a machine that looks late), each time started again: the same weights as without (SHA-256 of the file).
#
# A large one, by hand: CYTOFS_KILL_DATASET (a folder), CYTOFS_KILL_STEPS, CYTOFS_KILL_OPTIONS (of cytofs train) and, to have the
# same steps again, CYTOFS_KILL_SEED.
source "$(dirname "$0")/cli.sh"

steps=${CYTOFS_KILL_STEPS:-40}
RANDOM=${CYTOFS_KILL_SEED:-$$}
echo "seed: ${CYTOFS_KILL_SEED:-$$}"
read -ra options <<<"${CYTOFS_KILL_OPTIONS:---batch 2 --image-size 64 --threads 1 --checkpoint-seconds 0}"
dataset=${CYTOFS_KILL_DATASET:-$work/cells}

training=("$cytofs" train "$dataset" --steps "$steps" --seed 4 --validations 1 "${options[@]}" --output)
done_steps() { cat "$work/killed/metrics/train/loss" 2>/dev/null | wc -l; }
sum_of() { sha256sum "$work/$1/model/model.safetensors" | cut -d' ' -f1; }

# Starts it, kills it as soon as it has done $1 steps, and says where it was.
train_until() {
    "${training[@]}" "$work/killed" >"$work/log" 2>&1 &
    local trainer=$!
    while [ "$(done_steps)" -lt "$1" ]; do
        if ! kill -0 $trainer 2>/dev/null; then
            cat "$work/log"
            return 1
        fi
        sleep 0.02
    done
    kill -KILL $trainer
    wait $trainer 2>/dev/null
    [ ! -e "$work/killed/model/model.safetensors" ]
}

if [ -z "${CYTOFS_KILL_DATASET:-}" ]; then
    check "images" expect_status 0 "$cytofs" synth fluo16 "$dataset" --images 12 --width 96 --height 96
fi
check "a training without a kill" expect_status 0 "${training[@]}" "$work/whole"
for at in $(for k in 1 2 3 4 5; do echo $((RANDOM % (steps / 2) + 1)); done | sort -n); do
    check "killed at step $at or a little later" train_until "$at"
done
check "it goes on to its end" expect_status 0 "${training[@]}" "$work/killed"
check "from a checkpoint" grep -q "going on from the checkpoint" "$work/out"
echo "weights: $(sum_of whole) without a kill, $(sum_of killed) with five"
check "the same weights" [ "$(sum_of whole)" = "$(sum_of killed)" ]
check "each step's loss stands there once" [ "$(cut -d' ' -f3 "$work/killed/metrics/train/loss" | uniq | wc -l)" = "$steps" -a "$(done_steps)" = "$steps" ]
