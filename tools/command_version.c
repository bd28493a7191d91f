/* cytofs version: what this program is, what it writes, and what it can compute on. */
#include <stdio.h>

#include "buffer.h"
#include "commands.h"
#include "device.h"
#include "model_file.h"
#include "store_folder.h"
#include "version.h"

#define DEVICES_MAX 16

static int print_json(const struct device_entry *devices, size_t count)
{
    SCOPE_BUFFER text = {0};
    buffer_append_text(&text, "{\"version\": ");
    buffer_append_json(&text, CYTOFS_VERSION);
    buffer_printf(&text, ", \"formats\": {\"store\": %d, \"model\": %d}, \"devices\": [", STORE_FOLDER_FORMAT,
                  MODEL_FILE_VERSION);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(&text, i ? ", {\"name\": " : "{\"name\": ");
        buffer_append_json(&text, devices[i].name);
        buffer_append_text(&text, ", \"description\": ");
        buffer_append_json(&text, devices[i].description);
        buffer_printf(&text, ", \"bf16\": %s}", devices[i].bf16 ? "true" : "false");
    }
    buffer_append_text(&text, "]}\n");
    fputs(buffer_text(&text), stdout);
    return text.failed ? EXIT_SYSTEM : EXIT_DONE;
}

int command_version(const struct command *command, int argc, char **argv)
{
    bool json = false;
    const struct command_option options[] = {
        {"json", 'J', OPTION_FLAG, &json, NULL, "print one JSON object", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 0, 0, &arguments);
    if (status != -1)
        return status;
    struct device_entry devices[DEVICES_MAX];
    size_t count = device_list(devices, DEVICES_MAX);
    if (count > DEVICES_MAX)
        count = DEVICES_MAX;
    if (json)
        return print_json(devices, count);
    printf("cytofs %s\nformats: store %d, model %d\n", CYTOFS_VERSION, STORE_FOLDER_FORMAT, MODEL_FILE_VERSION);
    for (size_t i = 0; i < count; i++)
        printf("device:  %s: %s\n", devices[i].name, devices[i].description);
    return EXIT_DONE;
}
