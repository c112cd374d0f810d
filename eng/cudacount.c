// Counts calls of the CUDA runtime, preloaded (run-with-pytorch.sh --count).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
static long counts[8]; /* D2H, H2D, D2D, stream sync, launch, malloc, device sync, event sync */
static void *handle;
static void *real(const char *name) {
  static const char *names[] = {"libcudart.so.13", "libcudart.so.12", "libcudart.so", 0};
  for (int i = 0; !handle && names[i]; i++) handle = dlopen(names[i], RTLD_LAZY | RTLD_NOLOAD);
  return handle ? dlsym(handle, name) : dlsym(RTLD_NEXT, name);
}
#define REAL(type, name) static type f; if (!f) f = (type)real(#name); if (!f) return 999
static void copied(int kind) { if (kind == 2) counts[0]++; else if (kind == 1) counts[1]++; else counts[2]++; }
void cudacount_read(long *out) { memcpy(out, counts, sizeof counts); }
typedef int (*copy_async)(void *, const void *, size_t, int, void *);
int cudaMemcpyAsync(void *d, const void *s, size_t n, int kind, void *stream) { REAL(copy_async, cudaMemcpyAsync); copied(kind); return f(d, s, n, kind, stream); }
typedef int (*copy_sync)(void *, const void *, size_t, int);
int cudaMemcpy(void *d, const void *s, size_t n, int kind) { REAL(copy_sync, cudaMemcpy); copied(kind); return f(d, s, n, kind); }
typedef int (*one)(void *);
int cudaStreamSynchronize(void *stream) { REAL(one, cudaStreamSynchronize); counts[3]++; return f(stream); }
int cudaEventSynchronize(void *event) { REAL(one, cudaEventSynchronize); counts[7]++; return f(event); }
typedef int (*none)(void);
int cudaDeviceSynchronize(void) { REAL(none, cudaDeviceSynchronize); counts[6]++; return f(); }
typedef struct { unsigned x, y, z; } dim3_;
typedef int (*launch)(const void *, dim3_, dim3_, void **, size_t, void *);
int cudaLaunchKernel(const void *k, dim3_ g, dim3_ b, void **args, size_t shared, void *stream) { REAL(launch, cudaLaunchKernel); counts[4]++; return f(k, g, b, args, shared, stream); }
typedef int (*launchex)(const void *, const void *, void **);
int cudaLaunchKernelExC(const void *config, const void *k, void **args) { REAL(launchex, cudaLaunchKernelExC); counts[4]++; return f(config, k, args); }
typedef int (*alloc)(void **, size_t);
int cudaMalloc(void **p, size_t n) { REAL(alloc, cudaMalloc); counts[5]++; return f(p, n); }
/* What compiled launches call from CUDA 13 on. */
int __cudaLaunchKernel(const void *k, dim3_ g, dim3_ b, void **args, size_t shared, void *stream) { REAL(launch, __cudaLaunchKernel); counts[4]++; return f(k, g, b, args, shared, stream); }
