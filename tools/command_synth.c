/* cytofs synth: a dataset of synthetic cells with exact annotations. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "progress_bar.h"
#include "synth.h"

const char command_synth_details[] =
    "KIND is fluo16 (nuclei in 16-bit fluorescence, with label images) or smear8 (blood cells of three classes in 8-bit RGB). The\n"
    "same options give the same bytes on every machine.";
