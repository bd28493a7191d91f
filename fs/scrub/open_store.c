/* From the outside in, and back: see open_store.h. */
#include "open_store.h"

#include "catalog.h"
#include "catalog_pages.h"
#include "chunk_store.h"
#include "chunk_store_mirror.h"
#include "mirror_set.h"
#include "store_folder.h"

enum code open_store_open(const char *path, struct open_store *out, struct failure *why)
{
    *out = (struct open_store){0};
    const struct mirror_set_options options = {.newest = catalog_pages_newest};
    enum code code = mirror_set_open(path, &options, &out->mirrors, why);
    if (code == CODE_OK)
        code = chunk_store_mirror_open(out->mirrors, false, &out->chunks, why);
    if (code != CODE_OK) {
        open_store_close(out);
        return code;
    }
    struct store_folder *folder = mirror_set_folder(out->mirrors, mirror_set_leader(out->mirrors));
    const struct catalog_options catalog = {
        .path = store_folder_catalog_path(folder), .mirrors = out->mirrors, .read_only = true};
    if (catalog_open(&catalog, &out->catalog, &out->catalog_why) != CODE_OK)
        out->catalog = NULL;
    return CODE_OK;
}

void open_store_close(struct open_store *store)
{
    catalog_close(store->catalog);
    chunk_store_destroy(store->chunks);
    mirror_set_close(store->mirrors);
    *store = (struct open_store){0};
}
