/* What all chunk stores share: see chunk_store.h. */
#include "chunk_store.h"

#include <stdlib.h>

void chunk_store_list_free(struct chunk_pack_list *list)
{
    free(list->packs);
    *list = (struct chunk_pack_list){0};
}
