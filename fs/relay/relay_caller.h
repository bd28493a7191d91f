/* Inside fs/relay: who waits for an answer, as this machine's /proc tells. */
#ifndef CYTOFS_RELAY_CALLER_H
#define CYTOFS_RELAY_CALLER_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the thread with this number (fuse_in_header.pid) has been killed or is exiting: whatever it is answered, nobody
 * will look at it. False where that is not known: 0, a thread of another pid namespace, a /proc that hides it. */
bool relay_caller_is_gone(uint32_t thread);

#endif
