/* Lines of jobs/events as a node reads them: whatever they hold, the path that comes out stays inside experiments/. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "job_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct job_change change;
    if (!job_change_parse((const char *)bytes, count, &change))
        return 0;
    assert(strncmp(change.run, "experiments/", 12) == 0);
    assert(!strstr(change.run, "/.") && !strstr(change.run, "//"));
    int slashes = 0;
    for (const char *at = change.run; *at; at++)
        slashes += *at == '/';
    assert(slashes == 2);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {
        "{\"run\":\"experiments/e/001\",\"state\":\"queued\",\"node\":\"\",\"why\":\"\"}",
        "{\"run\":\"experiments/e/../x\",\"state\":\"running\",\"node\":\"box-1\"}",
        "{\"run\":\"experiments/\\u002e./x\",\"state\":\"queued\"}",
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
