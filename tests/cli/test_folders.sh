# synth, train, detect, evaluate and import on plain folders, without any lab.
source "$(dirname "$0")/cli.sh"

check "synth" expect_status 0 "$cytofs" synth fluo16 "$work/cells" --images 12 --width 128 --height 128 --seed 5
check "the same seed gives the same bytes" expect_status 0 "$cytofs" synth fluo16 "$work/again" --images 12 --width 128 --height 128 --seed 5
check "indeed" diff -r "$work/cells" "$work/again"
check "train" expect_status 0 "$cytofs" train "$work/cells" --output "$work/run" --steps 6 --batch 2 --image-size 64 --seed 1 --views 1
check "a model" [ -s "$work/run/model/model.safetensors" ]
check "its card" [ -s "$work/run/model/card.md" ]
check "its lineage names the dataset" grep -q "$work/cells" "$work/run/model/lineage.yaml"
check "metrics have value and step" grep -Eq '^[0-9]{13} [0-9.e+-]+ [0-9]+$' "$work/run/metrics/train/loss"
check "the same training again" expect_status 0 "$cytofs" train "$work/cells" --output "$work/run2" --steps 6 --batch 2 --image-size 64 --seed 1 --views 1
check "gives the same weights, bit for bit" cmp "$work/run/model/model.safetensors" "$work/run2/model/model.safetensors"

image=$(ls "$work"/cells/images/*.tif | tail -n 1)
check "detect" expect_status 0 "$cytofs" detect "$work/run/model" "$image" --output "$work/found"
check "a CSV with a header" grep -q '^image,id,class,score' "$work/found/$(basename "$image").csv"
check "an overlay" [ "$(head -c 4 "$work/found/$(basename "$image").overlay.png" | tail -c 3)" = PNG ]
check "counts" [ "$(wc -l <"$work/found/counts.csv")" = 2 ]
head -c 200 "$image" >"$work/broken.tif"
check "a broken image is named and the others go on" expect_status 1 "$cytofs" detect "$work/run/model" "$work/broken.tif" "$image" --output "$work/found2"
check "by its name" grep -q broken.tif "$work/err"
check "the good one is there" [ -s "$work/found2/$(basename "$image").csv" ]
check "evaluate" expect_status 0 "$cytofs" evaluate "$work/run/model" "$work/cells" --split all --json
check "prints JSON" python3 -c 'import json,sys; e=json.load(open(sys.argv[1])); assert 0 <= e["all"]["ap50"] <= 1 and e["images"] == 12, e' "$work/out"
printf 'not a model' >"$work/bad.safetensors"
check "a bad model is refused" expect_status 1 "$cytofs" detect "$work/bad.safetensors" "$image" --output "$work/found3"
check "import" expect_status 0 "$cytofs" import "$work/cells" "$work/imported"
check "an imported dataset trains" expect_status 0 "$cytofs" train "$work/imported" --output "$work/run3" --steps 2 --batch 2 --image-size 64

check "a model of outlines looks in eight views" grep -q '^  views: 8$' "$work/run3/model/lineage.yaml"
check "and says so" grep -q 'in 8 views, as it lies and mirrored, at its size and three quarters of it' "$work/run3/model/card.md"
check "its description for others is of one view" grep -q 'One view:' "$work/run3/model/rdf.yaml"
check "two views are none" expect_status 1 "$cytofs" train "$work/cells" --output "$work/run4" --steps 2 --views 2
check "said with what to write" grep -q 'views is 2 (write 1, 4 or 8)' "$work/err"

check "the training can be repeated from the model alone" expect_status 0 "$cytofs" train --reproduce "$work/run/model" --output "$work/run5"
check "and gives the same weights" grep -q 'made again, the same bit for bit' "$work/out"
check "really" cmp "$work/run/model/model.safetensors" "$work/run5/model/model.safetensors"
cp -r "$work/run/model" "$work/forged" && sed -i 's/seed: 1$/seed: 2/' "$work/forged/lineage.yaml"
check "other weights are told apart" expect_status 1 "$cytofs" train --reproduce "$work/forged" --output "$work/run6"
check "in words" grep -q 'other weights came out' "$work/err"
sed -i '/^  lr:/d' "$work/forged/lineage.yaml"
check "a lineage with a gap is refused" expect_status 1 "$cytofs" train --reproduce "$work/forged" --output "$work/run7"
check "by the entry's name" grep -q 'training.lr is missing' "$work/err"
