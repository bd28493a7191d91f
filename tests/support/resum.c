/* Page by page, in place. */
#include "resum.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "page_sum.h"
#include "scope.h"

enum code resum_file(const char *path, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t page[PAGE_SUM_PAGE_BYTES];
    if (fd < 0)
        return failure_set_errno(why, errno, "%s", path);
    for (uint64_t number = 1;; number++) {
        off_t offset = (off_t)(number - 1) * PAGE_SUM_PAGE_BYTES;
        ssize_t got = pread(fd, page, sizeof page, offset);
        if (got < (ssize_t)sizeof page || (number == 1 && !page_sum_has_room(page)))
            return got < 0 ? failure_set_errno(why, errno, "%s", path) : CODE_OK;
        if (page_sum_is_blank(page))
            continue;
        page_sum_write(page, number);
        if (pwrite(fd, page, sizeof page, offset) != (ssize_t)sizeof page)
            return failure_set_errno(why, errno, "%s", path);
    }
}
