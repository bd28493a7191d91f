/* cuDNN 9, loaded when a GPU is opened and not before: the program has no link to it, starts without it, and runs where it
 * is not installed.  The library is looked for by name (the loader's folders, LD_LIBRARY_PATH), then where it was when the
 * program was built.  Once loaded it stays until the process ends.  Any thread. */
#ifndef CYTOFS_CUDA_DNN_H
#define CYTOFS_CUDA_DNN_H

#include <cudnn_graph.h>

#include "failure.h"

/* The functions of the backend API that the program calls; types are the header's. */
struct cuda_dnn {
    __typeof__(&cudnnGetVersion) GetVersion;
    __typeof__(&cudnnGetErrorString) GetErrorString;
    __typeof__(&cudnnGetLastErrorString) GetLastErrorString;
    __typeof__(&cudnnCreate) Create;
    __typeof__(&cudnnDestroy) Destroy;
    __typeof__(&cudnnSetStream) SetStream;
    __typeof__(&cudnnBackendCreateDescriptor) BackendCreateDescriptor;
    __typeof__(&cudnnBackendDestroyDescriptor) BackendDestroyDescriptor;
    __typeof__(&cudnnBackendFinalize) BackendFinalize;
    __typeof__(&cudnnBackendSetAttribute) BackendSetAttribute;
    __typeof__(&cudnnBackendGetAttribute) BackendGetAttribute;
    __typeof__(&cudnnBackendExecute) BackendExecute;
};

/* CODE_UNSUPPORTED where there is no cuDNN 9, or an older one than the program was built with. */
MUST_CHECK enum code cuda_dnn_load(const struct cuda_dnn **out, struct failure *why);

#endif
