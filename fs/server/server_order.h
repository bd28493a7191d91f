/* Inside fs/server: in which order one client's requests are to be carried out.  Pure.
 *
 * A client may send requests without waiting for the answers of those before: bytes that it writes behind, names that it
 * makes.  Those that concern the same file or folder are carried out in the order in which they came, where one of the two
 * changes it; all others side by side.
 */
#ifndef CYTOFS_SERVER_ORDER_H
#define CYTOFS_SERVER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request_order {
    uint64_t nodes[2]; /* that it concerns; 0: none */
    bool changes;
    bool alone; /* INIT, DESTROY: behind all before it, before all behind it */
};

/* Of a request that was not checked; of aligned bytes. */
struct request_order request_order_of(const void *message, size_t length);

/* Whether `later` has to wait until `earlier` was carried out. */
bool request_order_waits(const struct request_order *later, const struct request_order *earlier);

#endif
