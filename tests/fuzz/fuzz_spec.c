/* Job specs: whatever text a user saves, the parser answers, and says either a spec or what is wrong and
 * where. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "fuzzing.h"
#include "spec.h"

static const char *const seeds[] = {
    "experiment: nuclei\ndataset: datasets/nuclei\n"
    "train: {network: celldet-s, epochs: 30, batch: 16, image_size: 256, lr: 2e-3, seed: 7}\n"
    "resources: {gpus: 1, memory: 8G, time: 2h}\nregister: nuclei-detector\n",
    "run: |\n  echo \"a\"\n  python3 train.py\ndataset: datasets/a/.snap/v1\n",
    "# a comment\nrun: >-\n  folded\n  text\n\"register\": 'm'\n",
    "%YAML 1.2\n---\nrun: &a ls\ntrain: *a\n...\n",
    "sweep: {space: {train.lr: {log: [1e-4, 1e-2]}}}\n? [k]\n: !!str v\n",
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof seeds[0])
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *text = (const char *)bytes;
    struct spec *spec;
    struct spec_findings findings;
    enum code code = spec_parse(text, count, "a", &spec, &findings, NULL);
    assert((code == CODE_OK) == (spec != NULL));
    assert((code == CODE_OK) == (findings.count == 0));
    char dataset[SPEC_DATASET_MAX];
    spec_find_dataset(text, count, dataset);
    spec_add_finding(&findings, text, count, "dataset", "is missing");
    SCOPE_BUFFER shown = {0};
    spec_format_findings(&findings, "jobs/a.yaml", text, count, &shown);
    assert(!shown.failed);
    spec_destroy(spec);
    return 0;
}
