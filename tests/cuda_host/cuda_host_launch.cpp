/* Kernels on the host: see README.md.  The threads of a block are contexts (ucontext.h) that take turns at barriers.
 *
 * A context runs threads of the block one after the other; a kernel without barriers is a plain loop in one context.  A thread
 * that comes to a barrier keeps its context, and the threads that have not begun yet go on in a fresh one.  When all threads
 * wait, all go on: so between two barriers they run in a fixed order, first to last or last to first.
 * Shared memory is static: blocks run one after the other.
 */
#include "cuda_runtime_api.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

#define THREADS_MAX 1024
#define STACK_BYTES ((size_t)128 << 10)

struct cuda_host_index blockIdx, threadIdx, blockDim, gridDim;

void cuda_host_queue_function(cudaStream_t stream, std::function<void()> call);
void cuda_host_launch_failed(cudaError_t error);
bool cuda_host_runs_backwards(void);

struct context {
    ucontext_t registers;
    unsigned thread; /* index of the one that waits in it */
};

static struct {
    const std::function<void()> *thread;
    ucontext_t scheduler;
    std::vector<context> contexts; /* those that wait, in order of their threads' turns */
    context *running;
    size_t begun, ended, waiting;
} block;

static char *stacks; /* one each context, THREADS_MAX of them */

/* The n-th to have its turn. */
static unsigned thread_of_turn(size_t turn)
{
    return cuda_host_runs_backwards() ? blockDim.x - 1 - (unsigned)turn : (unsigned)turn;
}

static void run_threads()
{
    while (block.begun < blockDim.x) {
        block.running->thread = threadIdx.x = thread_of_turn(block.begun++);
        (*block.thread)();
        block.ended++;
    }
}

void cuda_host_barrier()
{
    context *own = block.running;
    block.waiting++;
    swapcontext(&own->registers, &block.scheduler);
    block.running = own;
    threadIdx.x = own->thread;
}

static void begin_context()
{
    assert(block.contexts.size() < THREADS_MAX);
    size_t index = block.contexts.size();
    block.contexts.emplace_back();
    context *fresh = block.running = &block.contexts.back();
    getcontext(&fresh->registers);
    fresh->registers.uc_stack.ss_sp = stacks + index * STACK_BYTES;
    fresh->registers.uc_stack.ss_size = STACK_BYTES;
    fresh->registers.uc_link = &block.scheduler;
    makecontext(&fresh->registers, run_threads, 0);
    swapcontext(&block.scheduler, &fresh->registers);
}

static void run_block(const std::function<void()> &thread)
{
    block.thread = &thread;
    block.begun = block.ended = 0;
    block.contexts.clear();
    block.contexts.reserve(THREADS_MAX); /* contexts must not move */
    block.waiting = 0;
    while (block.begun < blockDim.x)
        begin_context();
    while (block.ended < blockDim.x) {
        assert(block.waiting == blockDim.x); /* a barrier that only some threads reach never ends on a GPU */
        block.waiting = 0;
        for (context &waiting : block.contexts) {
            block.running = &waiting;
            swapcontext(&block.scheduler, &waiting.registers);
        }
    }
}

static void run_grid(size_t blocks, size_t threads, const std::function<void()> &thread)
{
    gridDim.x = (unsigned)blocks;
    blockDim.x = (unsigned)threads;
    for (size_t b = 0; b < blocks; b++) {
        blockIdx.x = (unsigned)(cuda_host_runs_backwards() ? blocks - 1 - b : b);
        run_block(thread);
    }
}

void cuda_host_launch(cudaStream_t stream, size_t blocks, size_t threads, std::function<void()> thread)
{
    if (blocks < 1 || blocks > 0x7FFFFFFF || threads < 1 || threads > THREADS_MAX) {
        cuda_host_launch_failed(cudaErrorInvalidConfiguration);
        return;
    }
    if (!stacks) {
        stacks = (char *)mmap(nullptr, THREADS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(stacks != MAP_FAILED);
    }
    cuda_host_queue_function(stream, [=] { run_grid(blocks, threads, thread); });
}
