/* OpenMP's threads spin for milliseconds at the end of every loop by default.  On cores that others want too (the file
 * server, a second job) they then wait for one that does not run: with one busy process beside two threads, sixty training
 * steps took 165 s, and 28 s when the threads gave up spinning soon.  libgomp reads the setting when it is loaded, before
 * main, so the program must be started anew to change it.
 */
#include "polite_threads.h"

#include <stdlib.h>
#include <unistd.h>

#define SPIN_COUNT "1000" /* iterations, some microseconds */

void polite_threads_ensure(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0)
        return;
    execv("/proc/self/exe", argv); /* comes back only where it failed: then the threads spin */
}
