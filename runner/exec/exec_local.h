/* The executor of this machine: programs are its child processes, each under a keeper (exec_keeper.h). */
#ifndef CYTOFS_EXEC_LOCAL_H
#define CYTOFS_EXEC_LOCAL_H

#include "exec.h"

struct executor exec_local(void);

#endif
