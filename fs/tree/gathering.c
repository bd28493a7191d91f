/* Gathering: see gathering.h. */
#include "gathering.h"

bool gathering_is_complete(const struct gathering *gathering, unsigned waiting)
{
    return gathering->skips > 0 || waiting >= gathering->expected;
}

int64_t gathering_patience_ns(const struct gathering *gathering)
{
    return gathering->kept < GATHERING_LONG_PATIENCE_MIN ? GATHERING_PATIENCE_NS : GATHERING_LONG_PATIENCE_NS;
}

static unsigned doubled(unsigned penalty)
{
    return penalty == 0 ? 1 : penalty >= GATHERING_SKIPS_MAX / 2 ? GATHERING_SKIPS_MAX : penalty * 2;
}

void gathering_synced(struct gathering *gathering, unsigned taken, unsigned came, bool in_vain)
{
    if (in_vain) {
        gathering->skips = gathering->penalty = doubled(gathering->penalty);
        gathering->kept = 0;
    } else if (gathering->skips > 0) {
        gathering->skips--;
    } else if (gathering->expected > 1) {
        gathering->penalty /= 2;
        gathering->kept++;
    }
    gathering->expected = taken + came;
}
