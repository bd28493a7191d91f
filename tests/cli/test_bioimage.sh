# rdf.yaml beside a trained model, read by other people's programs; skipped where they cannot be had.
source "$(dirname "$0")/cli.sh"

check "images" expect_status 0 "$cytofs" synth smear8 "$work/cells" --images 12 --width 128 --height 128
check "a training" expect_status 0 "$cytofs" train "$work/cells" --output "$work/run" --steps 3 --batch 2 --image-size 64
python3 "$(dirname "$0")/check_bioimage.py" "$work/run/model"
status=$?
if [ $status = 77 ]; then exit 77; fi
check "the description is valid and true" [ $status = 0 ]
