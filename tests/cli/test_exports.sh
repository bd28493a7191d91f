# Every kind of file that detect writes; other people's programs read the same objects from them. Where their Python modules lack, that
# is skipped by name, after all else was tried.
source "$(dirname "$0")/cli.sh"

check "nuclei" expect_status 0 "$cytofs" synth fluo16 "$work/nuclei" --images 24 --width 128 --height 128 --seed 6
check "a detector with outlines trains" expect_status 0 "$cytofs" train "$work/nuclei" --output "$work/run4" --steps 60 --batch 4 --image-size 128 --seed 1
image=$(basename "$(ls "$work"/nuclei/images/*.tif | head -n 1)")
check "every kind of file is written" expect_status 0 "$cytofs" detect "$work/run4/model" "$work/nuclei/images/$image" --output "$work/found4" --write csv,overlay,labels,geojson,rois
check "an unknown kind is refused" expect_status 2 "$cytofs" detect "$work/run4/model" "$work/nuclei/images/$image" --output "$work/found5" --write csv,rio
mkdir "$work/other" && cp "$work/nuclei/images/$image" "$work/other/"
check "a second image of one name does not replace the first one's files" expect_status 1 "$cytofs" detect "$work/run4/model" "$work/nuclei/images" "$work/other" --output "$work/found6"
check "and is named" grep -q "other/$image" "$work/err"

python3 "$(dirname "$0")/check_exports.py" "$work/found4" "$image" >"$work/out" 2>&1
status=$?
cat "$work/out"
if [ $status = 77 ]; then exit 77; fi
check "other programs read the same objects" [ $status = 0 ]
