/* Lineages of models: whatever lies beside a model, reading it ends in a lineage or in a reason. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"
#include "lineage.h"

static const char seed[] =
    "lineage: 1\nmodel_sha256: \"09c5\"\ncode_version: \"0.1.0\"\ndataset:\n  path: \"datasets/a\"\n  snapshot: \"\"\n"
    "  digest: \"63\"\ntraining:\n  network: celldet-n\n  rays: 32\n  views: 4\n  steps: 800\n  batch: 8\n  image_size: "
    "256\n  scale: 1.1\n"
    "  lr: 0.002\n  weight_decay: 0.01\n  seed: 11\n  validations: 3\n  patience: 0\n  precision: \"bf16\"\n  device: "
    "\"cpu\"\n  device_description: \"x\"\n"
    "  threads: 1\nspec: |2\n  dataset: a\n";

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    *count = sizeof seed - 1;
    return index == 0 ? (uint8_t *)strdup(seed) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct lineage lineage;
    struct failure why = {.code = CODE_OK};
    enum code code = lineage_parse((const char *)bytes, count, "lineage.yaml", &lineage, &why);
    assert(code == why.code);
    assert(code != CODE_OK || (lineage.network[0] && memchr(lineage.dataset, 0, sizeof lineage.dataset)));
    return 0;
}
