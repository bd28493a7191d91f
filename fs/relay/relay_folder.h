/* Inside fs/relay: folders: listed ahead of need, and shown to the kernel from what is known. */
#ifndef CYTOFS_RELAY_FOLDER_H
#define CYTOFS_RELAY_FOLDER_H

#include "relay_message.h"

struct relay_entry;
struct relay_node;
struct relay_view;

void relay_folder_open(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_folder_read(struct relay *relay, struct relay_request *request,
                       struct relay_output *out); /* READDIR, READDIRPLUS */
void relay_folder_release(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_folder_sync(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* Begins to list the folder, unless that is under way, would tell nothing new, or did not succeed a moment ago. */
void relay_folder_list_ahead(struct relay *relay, struct relay_output *out, struct relay_node *folder);

/* A name in it was made or taken away by ourselves: a listing that is under way knows less of it than we do. */
void relay_folder_touch(struct relay_node *folder, const char *name);

/* A name may be in it that we do not know: what a listing under way finds is not all either. */
void relay_folder_doubt(struct relay_node *folder);

/* A lookup has just found this name in it: a listing that is under way may be older, and does not take it away. */
void relay_folder_confirm(const struct relay_node *folder, struct relay_entry *entry);

void relay_folder_drop_view(struct relay_view *view); /* NULL is fine */

#endif
