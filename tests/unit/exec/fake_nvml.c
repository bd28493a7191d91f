/* A driver's library with made-up cards, as a shared object: FAKE_NVML_CARDS of them (-1: the driver is not loaded). */
#include <stdio.h>
#include <stdlib.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int status);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle);
int nvmlDeviceGetName(void *handle, char *name, unsigned length);
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long memory[3]);
int nvmlDeviceGetUtilizationRates(void *handle, unsigned use[2]);
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius);

static int cards(void)
{
    const char *text = getenv("FAKE_NVML_CARDS");
    return text ? atoi(text) : 0;
}

/* Handles are card numbers plus 1. */
static unsigned number_of(void *handle)
{
    return (unsigned)((char *)handle - (char *)0) - 1;
}

int nvmlInit_v2(void)
{
    return cards() == -1 ? 9 : cards() < -1 ? 999 : 0;
}

int nvmlShutdown(void)
{
    return 0;
}

const char *nvmlErrorString(int status)
{
    return status == 999 ? "Unknown Error" : "?";
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)cards();
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    *handle = (char *)0 + index + 1;
    return (int)index < cards() ? 0 : 2;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned length)
{
    snprintf(name, length, "NVIDIA H100 number %u", number_of(handle));
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long memory[3])
{
    memory[0] = 80ull << 30;
    memory[2] = (unsigned long long)(number_of(handle) + 1) << 30;
    memory[1] = memory[0] - memory[2];
    return 0;
}

/* The second card does not tell, the third lies. */
int nvmlDeviceGetUtilizationRates(void *handle, unsigned use[2])
{
    use[0] = number_of(handle) == 2 ? 4000000000u : 87;
    use[1] = 3;
    return number_of(handle) == 1 ? 3 : 0;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius)
{
    *celsius = 60 + number_of(handle);
    return sensor == 0 && number_of(handle) != 2 ? 0 : 3;
}
