/* sum_pages FILE...: see resum.h. */
#include <stdio.h>

#include "resum.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct failure why;
        if (resum_file(argv[i], &why) != CODE_OK) {
            fprintf(stderr, "sum_pages: %s\n", why.text);
            return 1;
        }
    }
    return 0;
}
